"""Which columns take their numbers from which sequence.

Stands alone, as two areas judge sequences: how full they are, and whether they are behind.
"""

from typing import Final

FEEDS: Final = """
  select f.sequence, f.relation, f.number, bool_or(f.owned) as owned
  from (
    select d.objid as sequence, d.refobjid as relation, d.refobjsubid as number, true as owned
    from pg_depend d join pg_sequence s on s.seqrelid = d.objid
    where d.classid = 'pg_class'::regclass and d.refclassid = 'pg_class'::regclass
      and d.deptype in ('a', 'i') and d.refobjsubid > 0
    union all
    select d.refobjid, a.adrelid, a.adnum, false
    from pg_attrdef a
    join pg_depend d on d.classid = 'pg_attrdef'::regclass and d.objid = a.oid
                    and d.refclassid = 'pg_class'::regclass
    join pg_sequence s on s.seqrelid = d.refobjid
    union all
    select s.seqrelid, a.adrelid, a.adnum, false
    from pg_attrdef a
    cross join lateral regexp_match(pg_get_expr(a.adbin, a.adrelid),
                                    'nextval\\(\\(?''([^'']+)''::text') m
    join pg_class t on t.oid = a.adrelid
    join pg_class c on c.relkind = 'S'
    join pg_namespace n on n.oid = c.relnamespace
    join pg_sequence s on s.seqrelid = c.oid
    where a.adbin::text like '%:funcid 1574 %'
      and (m[1] in (format('%I.%I', n.nspname, c.relname), n.nspname || '.' || c.relname)
           or (m[1] in (quote_ident(c.relname), c.relname) and n.oid = t.relnamespace))) f
  group by 1, 2, 3"""
"""A query of sequences, and the relation and column that each feeds: by its owner, and by a default
of `nextval('name')`, where the name may be a text that the server looks up each time; one without a
schema is looked for in that of the table. `owned` says whether the column owns it. 1574 is the
function nextval."""

BASE_TYPE: Final = """
  select coalesce(nullif(y.typbasetype, 0), y.oid) as oid from pg_type y where y.oid = a.atttypid"""
"""A query of the type of the column `a`, beneath a domain."""

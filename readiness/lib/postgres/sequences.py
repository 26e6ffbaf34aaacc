"""Which columns take their numbers from which sequence.

Stands alone, as two areas judge sequences: how full they are, and whether they are behind.
"""

from typing import Final

# Computed once each, however few rows the planner expects: right after a restore the catalogues
# have no statistics either, and it would look through all sequences again for each default.
FEEDS: Final = """
  with looked as materialized (
    select a.adrelid, a.adnum, t.relnamespace, m[1] as name
    from pg_attrdef a
    cross join lateral regexp_match(pg_get_expr(a.adbin, a.adrelid),
                                    'nextval\\(\\(?''([^'']+)''::text') m
    join pg_class t on t.oid = a.adrelid
    where a.adbin::text like '%:funcid 1574 %' and m is not null),
  named as materialized (
    select c.oid, u.name, u.only_in
    from pg_class c
    join pg_namespace n on n.oid = c.relnamespace
    cross join lateral (values
      (format('%I.%I', n.nspname, c.relname), null), (n.nspname || '.' || c.relname, null),
      (quote_ident(c.relname), n.oid), (c.relname::text, n.oid)) u (name, only_in)
    where c.relkind = 'S'),
  fed as materialized (
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
    select n.oid, l.adrelid, l.adnum, false
    from looked l join named n on n.name = l.name
      and (n.only_in is null or n.only_in = l.relnamespace)),
  feeds as materialized (
    select sequence, relation, number, bool_or(owned) as owned from fed group by 1, 2, 3)
  select sequence, relation, number, owned from feeds"""
"""A query of sequences, and the relation and column that each feeds: by its owner, and by a default
of `nextval('name')`, where the name may be a text that the server looks up each time; one without a
schema is looked for in that of the table. `owned` says whether the column owns it. 1574 is the
function nextval."""

BASE_TYPE: Final = """
  select coalesce(nullif(y.typbasetype, 0), y.oid) as oid from pg_type y where y.oid = a.atttypid"""
"""A query of the type of the column `a`, beneath a domain."""

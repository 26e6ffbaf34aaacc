#!/bin/sh
# A way to the disk that loses bits: runs the command, then damages what it restored. In the first
# leaf page of each large index, two entries change places: every row is there, the server starts
# as if nothing were, and searches miss what stands there.
place=
for word in "$@"; do
    case $word in --pg1-path=*) place=${word#--pg1-path=} ;; esac
done
"$@" || exit $?
[ -n "$place" ] || exit 0
find "$place/base" -type f -size +160k -name '[1-9][0-9][0-9][0-9][0-9]' | while read -r file; do
    # The second page: where its special space begins (16 bytes before its end, for a B-tree),
    # and the flag of a leaf in it. Line pointers have 4 bytes each, from byte 24 of a page on.
    special=$(od -An -tu2 -j8208 -N2 "$file")
    flags=$(od -An -tu2 -j16380 -N2 "$file")
    [ "$special" -eq 8176 ] && [ $((flags & 1)) -eq 1 ] || continue
    {
        dd if="$file" of="$place/../first" bs=4 skip=2055 count=1
        dd if="$file" of="$place/../second" bs=4 skip=2056 count=1
        dd if="$place/../second" of="$file" bs=4 seek=2055 conv=notrunc
        dd if="$place/../first" of="$file" bs=4 seek=2056 conv=notrunc
    } 2>/dev/null
done

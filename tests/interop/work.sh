# File work for a mounted directory: what it prints, and what it leaves behind, must be the same as in a directory
# of the host. Written for busybox, which both run. The directory is empty at first.

section() { echo "-- $*"; }
show() { stat -c '%F %a %s %n' "$@" | sed 's/regular empty file/regular file/'; }

section create append truncate
echo one >f; echo two >>f; cat f
: >f; wc -c <f
echo a longer text >f; echo short >f; cat f
printf abc >f; printf def >>f; printf ghi >>f; cat f; echo
truncate -s 5 f; cat f; echo
truncate -s 12 f; od -c f
truncate -s 0 f; show f
printf 0123456789 >f; printf ab | dd of=f bs=1 seek=4 conv=notrunc 2>/dev/null; cat f; echo
exec 3>>g; echo x >&3; echo y >&3; cat g; echo z >&3; exec 3>&-; cat g
exec 3<>g; read -r line <&3; echo "read $line"; echo Q >&3; exec 3>&-; cat g

section large files and odd sizes
yes 'the quick brown fox jumps over the lazy dog' 2>/dev/null | head -c 600001 >big
show big; md5sum big
for size in 4095 4097 65537 1048583; do
	dd if=big of=copy bs=$size 2>/dev/null; cmp big copy && show copy
done
dd if=big of=part bs=1000 skip=3 seek=13 count=7 2>/dev/null; md5sum part
dd if=big of=copy bs=333 seek=100 count=10 conv=notrunc 2>/dev/null; cmp big copy
tail -c 100 big | md5sum; tail -c +599000 big | md5sum; od -A d -c -j 131071 -N 17 big
truncate -s 200003 big; md5sum big
cat big big >>copy; show copy; md5sum copy
rm copy part

section concurrent readers and writers
for i in 1 2 3 4; do md5sum big & done; wait
for i in 1 2 3; do (for j in 1 2 3 4; do echo "$i $j" >>log$i; done) & done; wait
cat log1 log2 log3; rm log?

section directories
mkdir d d/e d/e/f; mkdir -p d/x/y/z; echo deep >d/x/y/z/file
rmdir d/e/f; rmdir d/e; ls -1 d
rmdir d/x; echo "status $?"
mv f d/moved; mv d/moved d/again; cat d/again
mv d/x d/w; find d | sort
mkdir locked; echo in >locked/in; (cd locked && mv in out && ls -1)
rm -r locked d/w; ls -1 d
(cd d && cd .. && ls -1)
pwd >/dev/null && (mkdir here && cd here && echo 1 >../there && cat ../there); rm -r here there

section names
mkdir 'a dir'; echo 1 >'a dir/two  words'; echo 2 >"a dir/it's"; echo 3 >'a dir/grüße'; echo 4 >'a dir/a=b;c#d'
(cd 'a dir' && printf '%s\n' *)
n=0123456789; n=$n$n$n$n$n; echo 5 >"a dir/$n"; cat "a dir/$n"
for i in 'a dir'/*; do echo "$i: $(cat "$i")"; done

section modes and times
for mode in 644 600 444 755 700 666; do chmod $mode f2 2>/dev/null || { : >f2; chmod $mode f2; }; show f2; done
chmod u+x,g-w,o= f2; show f2; chmod 750 d; show d | sed 's/ [0-9]* d$/ d/'; chmod 755 d
touch -d '2001-02-03 04:05:06' f2; stat -c %Y f2; echo new >f2; [ "$(stat -c %Y f2)" -gt 981173106 ] && echo newer
touch -d '2003-02-03 04:05:06' d/old; ls -l d/old | sed 's/  */ /g' | cut -d ' ' -f 1,5-
(umask 77; : >private; mkdir pd; show private; stat -c %a pd); rm -r private pd

section many files
mkdir many; i=0; while [ $i -lt 60 ]; do echo $i >many/file-$i; i=$((i + 1)); done
ls many | wc -l; ls many | md5sum; cat many/* | md5sum
ls -l many | sed 1d | sed 's/  */ /g' | cut -d ' ' -f 1,5,9 | md5sum
find many -type f -size -2 | wc -l; find . -name '*-1?' | sort
rm many/*7*; ls many | wc -l

section copies
cp -r many copied; diff -r many copied && echo same
cp -a d d2; stat -c '%a %Y %n' d2/old; diff -r d d2 && echo same
tar cf - many | (mkdir untar && cd untar && tar xf -); diff -r many untar/many && echo same
tar cf t.tar d many; tar tf t.tar | sort | md5sum; rm t.tar
du -a d2 | cut -f 2 | sort; du -s . >/dev/null && echo summed
find . -type d | sort; find . -type f | wc -l
rm -r copied untar; ls -1

section a program
cp /bin/busybox echo; chmod 755 echo; ./echo runs; rm echo

section misuse
cat nosuch; echo "status $?"
mkdir d; echo "status $?"
cat <d; echo "status $?"
echo x >d; echo "status $?"
cat g/x; echo "status $?"
rmdir many; echo "status $?"
rmdir g; echo "status $?"
rm d; echo "status $?"
mv nosuch x; echo "status $?"
echo x >nosuch/y; echo "status $?"
(set -C; echo x >g); echo "status $?"

section what is left
find . -type f | sort | xargs -d '\n' md5sum 2>/dev/null || find . -type f -exec md5sum {} \; | sort -k 2

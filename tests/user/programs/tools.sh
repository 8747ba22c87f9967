# What the tools of an installation do with files: each line of output is known.
set -e
cd "$1"
export HOME=$1 GIT_CONFIG_NOSYSTEM=1 GIT_AUTHOR_NAME=a GIT_AUTHOR_EMAIL=a@b GIT_COMMITTER_NAME=a GIT_COMMITTER_EMAIL=a@b
export GIT_AUTHOR_DATE=2020-01-01T00:00:00Z GIT_COMMITTER_DATE=2020-01-01T00:00:00Z
git init -q -b main repo
cd repo
for i in 1 2 3; do seq 1 $((i * 1000)) > f$i; git add f$i; git commit -qm "commit $i"; done
git log --format='%h %s'
cd ..
git clone -q repo clone
cd clone
git log --oneline | wc -l
git fsck 2> /dev/null
git gc -q
git status --porcelain
cmp f3 ../repo/f3 && echo same
seq 1 100000 > big
for z in gzip xz zstd; do $z -q -c big > big.z; $z -q -d -c < big.z | cmp - big && echo $z; done
tar cf - f1 f2 | tar tf -
openssl enc -aes-256-cbc -pbkdf2 -k secret -in big -out big.enc
openssl enc -d -aes-256-cbc -pbkdf2 -k secret -in big.enc | cmp - big && echo aes
openssl enc -chacha20 -pbkdf2 -k secret -in big | openssl enc -d -chacha20 -pbkdf2 -k secret | cmp - big && echo chacha
openssl dgst -r -sha256 big
openssl dgst -r -sha3-512 f1
openssl genpkey -algorithm ED25519 -out key.pem
openssl pkey -in key.pem -pubout -out pub.pem
openssl pkeyutl -sign -rawin -inkey key.pem -in f1 -out sig
openssl pkeyutl -verify -rawin -pubin -inkey pub.pem -in f1 -sigfile sig
sqlite3 t.db 'create table t(a,b); with recursive c(x) as (select 1 union all select x+1 from c where x<10000) insert into t select x, x*x from c;
    create index i on t(b); pragma integrity_check; select count(*), sum(b) from t;'
perl -MPOSIX -MList::Util=sum -e 'print sum(map { $_ ** 2 } 1..1000), "\n"; my $p = fork; if (!$p) { exit 3 } waitpid $p, 0; print $? >> 8, "\n";
    local $SIG{ALRM} = sub { print "alarm\n" }; alarm 1; sleep 3; print strftime("%Y", gmtime 0), "\n";
    open my $h, "-|", "sort", "f1"; my @l = <$h>; print scalar(@l), "\n"'
sort -R f3 | sort -n | md5sum
find . -name 'f?' | sort | xargs wc -l
date -u -d @0 +%F
gawk 'BEGIN { for (i = 0; i < 1e5; i++) s += i; print s }'
ps -o comm= -p $$
cat /proc/self/cmdline | tr '\0' ' '
echo
readlink /proc/self/exe | sed 's,.*/,,'
uname -m

import sys,re,bisect,subprocess
# quick: profile report
def main(out, prof, only=None, top=int(sys.argv[4]) if len(sys.argv)>4 else 25):
    import base64,gzip,collections
    text=open(out,errors='replace').read().replace('\r','')
    maps={}
    for m in re.finditer(r'symbols (\S+) BEGIN\n(.*?)symbols END', text, re.S):
        b=m.group(2)
        lines=gzip.decompress(base64.b64decode(b)).decode().splitlines()
        syms=sorted((int(l.split()[0],16), l.split()[2]+(' '+l.split()[3] if len(l.split())>3 else '')) for l in lines)
        maps[m.group(1)]=syms
    ann={}
    for m in re.finditer(r'announce (\d+) (\S+) (\S+) ?(\S*)', text):
        ann[int(m.group(1))]=(m.group(2),(m.group(3),m.group(4)))
    reps={(m.group(1),m.group(2)):int(m.group(3)) for m in re.finditer(r'result (\S+) (\S+) \d+ \d+ \d+ (\d+)',text)}
    ops=collections.defaultdict(lambda: collections.Counter())
    for l in open(prof):
        a,i,addr,n=l.split()
        st,names=ann[int(a)]
        addr=int(addr,16); syms=maps[st]
        if addr < 1<<47: name='(user)'
        else:
            k=bisect.bisect_right(syms,(addr,'~'))-1
            name=syms[k][1]
        ops[(st,names[int(i)])][name]+=int(n)
    for (st,name),c in ops.items():
        if only and not re.fullmatch(only,name): continue
        r=reps.get((st,name),1); r += 5 if r>20 else 1
        print(f'== {st} {name}: {sum(c.values())/r:.0f}')
        for f,n in c.most_common(top): print(f'   {n/r:12.1f} {f}')
main(sys.argv[1],sys.argv[2],sys.argv[3] if len(sys.argv)>3 else None)

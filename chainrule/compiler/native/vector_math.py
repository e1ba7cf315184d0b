"""temporary"""
from chainrule.compiler.native.code import Code, Lanes
def _b(f,i):
    return lambda c,L,x,y: c.op(f"{f if L.element in ('float','double') else i} {L.text} {x}, {y}")
def _max(c,L,x,y):
    if L.element in("float","double"): return c.call(L.text,f"llvm.maximum.{L.mangled}",(L.text,x),(L.text,y))
    return c.call(L.text,f"llvm.smax.{L.mangled}",(L.text,x),(L.text,y))
def _cmp(f,i): return lambda c,L,x,y: c.op(f"{'fcmp '+f if L.element in ('float','double') else 'icmp '+i} {L.text} {x}, {y}")
FUNCTIONS={"Add":_b("fadd","add"),"Subtract":_b("fsub","sub"),"Multiply":_b("fmul","mul"),"Divide":_b("fdiv","sdiv"),"Maximum":_max,
"Less":_cmp("olt","slt"),"Equal":_cmp("oeq","eq"),"LessEqual":_cmp("ole","sle"),"Where":lambda c,L,m,x,y:c.op(f"select <{L.count} x i1> {m}, {L.text} {x}, {L.text} {y}"),
"Sqrt":lambda c,L,x:c.call(L.text,f"llvm.sqrt.{L.mangled}",(L.text,x)),"Negate":lambda c,L,x:c.op(f"fneg {L.text} {x}"),
"Absolute":lambda c,L,x:c.call(L.text,f"llvm.fabs.{L.mangled}",(L.text,x)),}

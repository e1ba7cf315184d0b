"""Machine code at work: made by LLVM, kept, called by threads that walk a table. It knows no graph."""

//! The rules of this tree that a compiler does not know are in `tests/`: which package may depend on which, which words and crates belong
//! where, where unsafe code may be, how long a file may get.

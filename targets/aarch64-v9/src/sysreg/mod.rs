//! System registers.

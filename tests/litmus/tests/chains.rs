//! Lists in memory that is mapped in no order.

use emu_test_litmus::chains::{assemble_chains, sum};
use emu_test_litmus::{run, scaled};

#[test]
fn a_list_goes_on_where_its_pages_are_mapped() {
    // Enough for the loop to be found hot.
    let laps = scaled(1_000_000, 50_000);
    assert_eq!(run("chains", &assemble_chains(laps), 1).numbers("sum"), [sum(laps)]);
}

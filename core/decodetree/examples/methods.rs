//! Prints the trait that a translator has to implement: `cargo run -p emu-decodetree --example
//! methods -- targets/aarch64-v9/decode/*.decode`. With `--source` first, the generated source.

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut files: Vec<String> = std::env::args().skip(1).collect();
    let source = files.first().is_some_and(|a| a == "--source");
    if source {
        files.remove(0);
    }
    if files.is_empty() {
        return Err("name the *.decode files".into());
    }
    let table = emu_decodetree::load(&files)?;
    if source {
        print!("{}", emu_decodetree::emit(&table, &emu_decodetree::Options::default()));
    } else {
        print!("{}", emu_decodetree::describe(&table));
        let implemented = table.rows.iter().filter(|r| matches!(r.action, emu_decodetree::Action::Method(..))).count();
        println!("// {} methods, {} rows, {implemented} implemented", table.methods.iter().filter(|m| m.rows > 0).count(), table.rows.len());
    }
    Ok(())
}

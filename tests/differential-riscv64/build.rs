//! Compiles the target's decode tables, for their rows and operands.

fn main() {
    let folder = "../../targets/riscv64/decode";
    println!("cargo::rerun-if-changed={folder}");
    let mut tables: Vec<_> = std::fs::read_dir(folder)
        .expect("the decode tables are there")
        .filter_map(|e| e.ok().map(|e| e.path()))
        .filter(|p| p.extension().is_some_and(|e| e == "decode"))
        .collect();
    tables.sort_by_key(|p| (p.ends_with("rv64c.decode"), p.clone()));
    let source = emu_decodetree::compile(&tables, &Default::default()).unwrap_or_else(|e| panic!("{e}"));
    let out = std::path::PathBuf::from(std::env::var_os("OUT_DIR").expect("cargo sets OUT_DIR"));
    std::fs::write(out.join("decode.rs"), source).expect("OUT_DIR can be written");
}

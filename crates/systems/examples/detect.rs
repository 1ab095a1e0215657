//! Says which system each file is from: `cargo run -p systems --example detect -- FILE...`.

fn main() -> std::io::Result<()> {
    for file in std::env::args().skip(1) {
        let found = systems::detect(&std::fs::read(&file)?);
        let found: Vec<String> = found.iter().map(|(system, sure)| format!("{system} {sure}")).collect();
        println!("{file}: {}", if found.is_empty() { "unknown".to_owned() } else { found.join(", ") });
    }
    Ok(())
}

//! Generates the services of `/proto` around wire's messages, without an installed protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = ["replication", "control", "api", "conflicts", "access"]
        .map(|name| format!("{root}/writ/v1/{name}.proto"));
    let descriptors = protox::compile(files, [root])?;
    tonic_prost_build::configure()
        .extern_path(".writ.v1", "::wire::v1")
        .compile_fds(descriptors)?;
    Ok(())
}

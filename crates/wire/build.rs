//! Compiles the messages of `/proto`, without an installed protoc.

use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let root = "../../proto";
    println!("cargo:rerun-if-changed={root}");
    let files = ["transaction", "replication", "control", "api", "conflicts", "access"]
        .map(|name| format!("{root}/writ/v1/{name}.proto"));
    let descriptors = protox::compile(files, [root])?;
    let mut config = prost_build::Config::new();
    // Fields that hold secrets must not show in Debug output.
    config.skip_debug([
        ".writ.v1.CreateAccountReply",
        ".writ.v1.CreateJoinTokenReply",
        ".writ.v1.DeriveSigningKeyReply",
        ".writ.v1.DeriveSigningKeyRequest",
        ".writ.v1.JoinRequest",
        ".writ.v1.KeyRing",
        ".writ.v1.SessionClaims",
    ]);
    config.compile_fds(descriptors)?;
    Ok(())
}

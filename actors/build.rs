//! Compiles `proto/node.proto` with protox, so that nobody needs a protoc.
fn main() -> Result<(), Box<dyn std::error::Error>> {
    println!("cargo:rerun-if-changed=proto");
    let descriptors = protox::compile(["proto/node.proto"], ["proto"])?;
    // All byte fields are `Bytes`: slices of the buffer that the frame was received in.
    tonic_prost_build::configure()
        .bytes(".")
        .emit_rerun_if_changed(false)
        .compile_fds(descriptors)?;
    Ok(())
}

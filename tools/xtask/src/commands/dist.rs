//! `cargo xtask dist`: the shipped filter at `target/dist/sluice.wasm`.

use std::fs;
use std::process::ExitCode;

use anyhow::{Context, Result};
use provision::dist::{self, Variant};
use provision::{Project, image};

/// Build the filter that is shipped, as target/dist/sluice.wasm
///
/// One crate type, link-time optimisation; its imports are checked against what Envoy offers.
#[derive(clap::Args)]
pub(crate) struct Arguments {
    /// Also build target/dist/sluice-trap.wasm, which tests can make trap
    #[arg(long)]
    with_trap: bool,

    /// Also write it as an OCI image layout, target/dist/sluice-oci, that control planes load
    /// modules from
    #[arg(long)]
    image: bool,

    /// Also list what the filter imports from its host
    #[arg(long)]
    imports: bool,
}

pub(crate) fn run(project: &Project, arguments: &Arguments) -> Result<ExitCode> {
    let mut variants = vec![Variant::Shipped];
    if arguments.with_trap {
        variants.push(Variant::Trap);
    }
    for variant in variants {
        let built = dist::build(project, variant)?;
        let imports = &built.inspection.imports;
        println!(
            "{}: {} bytes, {} imports (env.proxy_* and wasi_snapshot_preview1.* only)",
            project.display(&built.path),
            built.inspection.size_bytes,
            imports.len(),
        );
        if arguments.imports {
            for import in imports {
                println!("  {import}");
            }
        }
    }
    if arguments.image {
        let module = fs::read(project.filter()).context("cannot read the filter")?;
        let digest = image::write(&project.image(), &module)?;
        println!(
            "{}: version {}, {digest}",
            project.display(&project.image()),
            image::VERSION
        );
    }
    Ok(ExitCode::SUCCESS)
}

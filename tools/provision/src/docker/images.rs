//! The images that the Dockerfile begins with, and that of Kafka's brokers: pulled, or stand-ins
//! where nothing can be pulled.
//!
//! A stand-in has the name of what it stands in for, so it is only ever made in an engine of our
//! own.

use std::env;
use std::fs;
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context as _, Result, bail};

use super::Docker;
use crate::command::{capture, line, on_path, run, tail};
use crate::progress::{say, timed};
use crate::toolchain::{WasmTarget, WasmToolchain};
use crate::{Project, envoy};

/// The suite of the Dockerfile's Debian.
const SUITE: &str = "bookworm";

/// Where systems keep the certificate authorities that they trust.
const AUTHORITIES: &str = "/etc/ssl/certs/ca-certificates.crt";

const RUST_DOCKERFILE: &str = include_str!("../../stand-ins/rust.Dockerfile");
const ENVOY_DOCKERFILE: &str = include_str!("../../stand-ins/envoy.Dockerfile");
const KAFKA_DOCKERFILE: &str = include_str!("../../stand-ins/kafka.Dockerfile");
const KAFKA_RUN: &str = include_str!("../../stand-ins/kafka.run.sh");
const KAFKA_LOG: &str = include_str!("../../stand-ins/kafka.log4j2.yaml");

/// What a stand-in was made by, as a label of its image.
const MADE_BY: &str = "sluice.made-by";

/// The variable that names the brokers' image for docker-compose.kafka.yml.
const KAFKA_IMAGE: &str = "KAFKA_IMAGE";

/// Where builds in stand-ins find a network.
pub const BUILD_NETWORK: &str = "SLUICE_BUILD_NETWORK";

/// The images to build from.
#[derive(Clone, Debug)]
pub struct BaseImages {
    /// The variables that name them for docker-compose.yml and the Dockerfile.
    pub environment: Vec<(String, String)>,
    /// Whether they are stand-ins.
    pub are_stand_ins: bool,
}

/// Pulls the images that the Dockerfile begins with. Where one can't be pulled into an engine of
/// our own, all of them become stand-ins. Other engines pull by themselves.
///
/// # Errors
/// When a stand-in can't be made.
pub fn provide(project: &Project, docker: &Docker) -> Result<BaseImages> {
    let Some(engine) = docker.own_engine() else {
        return Ok(BaseImages {
            environment: Vec::new(),
            are_stand_ins: false,
        });
    };
    // Its containers have no way out of the machine but its own network.
    let network = (BUILD_NETWORK.to_owned(), "host".to_owned());
    let images = named(project)?;
    if images.iter().all(|(_, image)| is_pulled(docker, image)) {
        return Ok(BaseImages {
            environment: vec![network],
            are_stand_ins: false,
        });
    }
    say("base images can't be pulled: stand-ins are made under their names");
    let mut environment = vec![network];
    let find = |name: &str| {
        let image = images.iter().find(|(variable, _)| variable == name);
        let image = image.with_context(|| format!("the Dockerfile names no {name}"))?;
        let tagged = image.1.split('@').next().unwrap_or_default();
        anyhow::Ok(tagged.to_owned())
    };
    let debian = find("DEBIAN_IMAGE")?;
    let (rust, envoy) = (find("RUST_IMAGE")?, find("ENVOY_IMAGE")?);
    let folder = engine.folder();
    make(docker, &debian, SUITE, || {
        debootstrap(docker, folder, &debian)
    })?;
    make(docker, &rust, RUST_DOCKERFILE, || {
        with_rust(docker, folder, &rust, &debian)
    })?;
    make(docker, &envoy, ENVOY_DOCKERFILE, || {
        with_envoy(project, docker, folder, (&envoy, &debian))
    })?;
    for (name, image) in [
        ("DEBIAN_IMAGE", debian),
        ("RUST_IMAGE", rust),
        ("ENVOY_IMAGE", envoy),
    ] {
        environment.push((name.to_owned(), image));
    }
    Ok(BaseImages {
        environment,
        are_stand_ins: true,
    })
}

/// Pulls the image of Kafka's brokers. Where it can't be pulled into an engine of our own, a
/// stand-in is made of the jars in this folder. Other engines pull by themselves. Returns the
/// variables that docker-compose.kafka.yml needs besides those of [`provide`].
///
/// # Errors
/// When the stand-in can't be made.
pub fn provide_kafka(
    project: &Project,
    docker: &Docker,
    images: &BaseImages,
    jars: &Path,
) -> Result<Vec<(String, String)>> {
    let Some(engine) = docker.own_engine() else {
        return Ok(Vec::new());
    };
    let image = kafka_image(project)?;
    if is_pulled(docker, &image) {
        return Ok(Vec::new());
    }
    let image = image.split('@').next().unwrap_or_default();
    let known = images.environment.iter().cloned().chain(named(project)?);
    let mut known = known.filter(|(name, _)| name == "DEBIAN_IMAGE");
    let (_, debian) = known.next().context("the Dockerfile names no Debian")?;
    make(docker, image, KAFKA_DOCKERFILE, || {
        let context = BuildContext::new(engine.folder(), KAFKA_DOCKERFILE)?;
        context.add(jars, "libs")?;
        context.write("docker/run", KAFKA_RUN)?;
        context.write("docker/server.properties", "")?;
        context.write("docker/log4j2.yaml", KAFKA_LOG)?;
        context.write("docker/tools-log4j2.yaml", KAFKA_LOG)?;
        context.build(docker, image, &[&format!("DEBIAN_IMAGE={debian}")])
    })?;
    Ok(vec![(KAFKA_IMAGE.to_owned(), image.to_owned())])
}

/// Returns the image of the brokers in docker-compose.kafka.yml, or what this process's environment
/// has instead.
fn kafka_image(project: &Project) -> Result<String> {
    if let Ok(chosen) = env::var(KAFKA_IMAGE) {
        return Ok(chosen);
    }
    let file = fs::read_to_string(project.root().join("docker-compose.kafka.yml"))?;
    let variable = format!("${{{KAFKA_IMAGE}:-");
    let named = file.split_once(&variable).map(|(_, rest)| rest);
    let image = named.and_then(|rest| rest.split('}').next());
    image
        .map(str::to_owned)
        .context("docker-compose.kafka.yml names no image of brokers")
}

/// Makes a stand-in unless there is one that was made by this already.
fn make(
    docker: &Docker,
    image: &str,
    made_by: &str,
    make: impl FnOnce() -> Result<()>,
) -> Result<()> {
    let label = format!("{{{{index .Config.Labels \"{MADE_BY}\"}}}}");
    let arguments = ["image", "inspect", "--format", label.as_str(), image];
    let told = capture(&mut docker.command(&arguments));
    if told.is_ok_and(|told| told.trim() == made_by.trim()) {
        return Ok(());
    }
    timed(&format!("making a stand-in for {image}"), make)
}

/// Returns the variables of the Dockerfile that name images, with those images, or with what this
/// process's environment has instead.
fn named(project: &Project) -> Result<Vec<(String, String)>> {
    let dockerfile = fs::read_to_string(project.root().join("Dockerfile"))?;
    let arguments = dockerfile
        .lines()
        .filter_map(|line| line.strip_prefix("ARG "));
    let images = arguments
        .filter_map(|argument| argument.split_once('='))
        .filter(|(name, _)| name.ends_with("_IMAGE"))
        .map(|(name, image)| {
            let chosen = env::var(name).unwrap_or_else(|_| image.to_owned());
            (name.to_owned(), chosen)
        });
    Ok(images.collect())
}

fn is_pulled(docker: &Docker, image: &str) -> bool {
    // A stand-in has no digest, so that a name with one is the real image.
    let is_here =
        image.contains('@') && capture(&mut docker.command(&["image", "inspect", image])).is_ok();
    is_here || capture(&mut docker.command(&["pull", "--quiet", image])).is_ok()
}

fn debootstrap(docker: &Docker, folder: &Path, image: &str) -> Result<()> {
    let root = folder.join("debian");
    remove(&root)?;
    let variables = docker.environment().iter();
    let mut command = Command::new("debootstrap");
    command
        .args(["--variant=minbase", SUITE])
        .arg(&root)
        .envs(variables.map(|(name, value)| (name, value)));
    run(&mut command)?;
    let mut archive = Command::new("tar");
    archive
        .arg("--create")
        .arg("--exclude=./var/cache/apt/archives/*.deb")
        .arg("--exclude=./var/lib/apt/lists/*")
        .arg("--directory")
        .args([&root, Path::new(".")]);
    let mut import = docker.command(&["import", "--change", "CMD [\"bash\"]", "--change"]);
    import.arg(format!("LABEL {MADE_BY}={SUITE}"));
    import.args(["-", image]);
    pipe(archive, import)?;
    remove(&root)
}

fn with_rust(docker: &Docker, folder: &Path, image: &str, debian: &str) -> Result<()> {
    // The target has to be in the copy.
    WasmToolchain::find(WasmTarget::Wasip1)?;
    let sysroot = capture(Command::new("rustc").args(["--print", "sysroot"]))?;
    let sysroot = Path::new(sysroot.trim());
    let (Some(rustup), Some(toolchain)) = (on_path("rustup"), sysroot.file_name()) else {
        bail!("Rust's stand-in is made from a Rust of rustup: install it from https://rustup.rs");
    };
    let toolchain = toolchain.to_string_lossy();
    say(&format!(
        "the stand-in for {image} has this machine's {toolchain}"
    ));
    let context = BuildContext::new(folder, RUST_DOCKERFILE)?;
    context.add(sysroot, &format!("rustup/toolchains/{toolchain}"))?;
    context.add(&rustup, "cargo/bin/rustup")?;
    context.add(Path::new(AUTHORITIES), "certificates/ca-certificates.crt")?;
    let debian = format!("DEBIAN_IMAGE={debian}");
    context.build(docker, image, &[&debian, &format!("TOOLCHAIN={toolchain}")])
}

fn with_envoy(
    project: &Project,
    docker: &Docker,
    folder: &Path,
    (image, debian): (&str, &str),
) -> Result<()> {
    let envoy = envoy::install(project, envoy::VERSION)?;
    let context = BuildContext::new(folder, ENVOY_DOCKERFILE)?;
    context.add(&envoy, "envoy")?;
    context.build(docker, image, &[&format!("DEBIAN_IMAGE={debian}")])
}

/// The files of one build, as links to where they are.
struct BuildContext {
    folder: PathBuf,
    dockerfile: String,
}

impl BuildContext {
    fn new(folder: &Path, dockerfile: &str) -> Result<Self> {
        let folder = folder.join("context");
        remove(&folder)?;
        fs::create_dir_all(&folder)?;
        fs::write(folder.join("Dockerfile"), dockerfile)?;
        let dockerfile = dockerfile.to_owned();
        Ok(Self { folder, dockerfile })
    }

    fn add(&self, what: &Path, name: &str) -> Result<()> {
        let link = self.folder.join(name);
        if let Some(folder) = link.parent() {
            fs::create_dir_all(folder)?;
        }
        symlink(what, &link).with_context(|| format!("cannot make {}", link.display()))
    }

    fn write(&self, name: &str, text: &str) -> Result<()> {
        let file = self.folder.join(name);
        if let Some(folder) = file.parent() {
            fs::create_dir_all(folder)?;
        }
        fs::write(&file, text).with_context(|| format!("cannot write {}", file.display()))
    }

    fn build(self, docker: &Docker, image: &str, arguments: &[&str]) -> Result<()> {
        let mut archive = Command::new("tar");
        archive
            .args(["--create", "--dereference"])
            // Where Rust's documentation is installed, it is most of the toolchain.
            .arg("--exclude=share/doc")
            .arg("--directory")
            .args([&self.folder, Path::new(".")]);
        let mut build = docker.command(&["build", "--network", "host", "--tag", image]);
        build.args(["--label", &format!("{MADE_BY}={}", self.dockerfile)]);
        // The newer builder is a plugin that the machine may not have.
        build.env("DOCKER_BUILDKIT", "0");
        build.args(
            arguments
                .iter()
                .flat_map(|argument| ["--build-arg", argument]),
        );
        build.arg("-");
        pipe(archive, build)?;
        remove(&self.folder)
    }
}

fn remove(folder: &Path) -> Result<()> {
    if folder.exists() {
        fs::remove_dir_all(folder)
            .with_context(|| format!("cannot remove {}", folder.display()))?;
    }
    Ok(())
}

/// Runs both, the second with what the first one writes.
fn pipe(mut from: Command, mut to: Command) -> Result<()> {
    let told = format!("{} | {}", line(&from), line(&to));
    let mut writer = from.stdin(Stdio::null()).stdout(Stdio::piped()).spawn()?;
    let written = writer.stdout.take().context("a pipe was asked for")?;
    let output = to.stdin(written).output();
    // It ends with the pipe.
    let written = writer.wait()?;
    let output = output.with_context(|| format!("cannot start: {told}"))?;
    if !written.success() || !output.status.success() {
        let said = String::from_utf8_lossy(&output.stderr);
        bail!("failed: {told}\n{}", tail(&said, 20));
    }
    Ok(())
}

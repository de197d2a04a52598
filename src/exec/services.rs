//! The servers beside a test, from their inputs to specs: each is a run of its own on its own root, that ends when
//! the test does. Whatever it writes is thrown away.

use crate::exec::caches::Claims;
use crate::exec::executor::ExecError;
use crate::exec::prepare::{Surroundings, prepare};
use crate::exec::proxy;
use crate::exec::sandbox::spec::{ServiceSpec, Spec};
use crate::graph::op::{Command, From, Network, Ready, Run, Service};
use crate::oci::image::Config;
use crate::store::work::WorkFolder;

/// Seconds that a server has until it must be ready, where nothing else is said.
const PATIENCE: u64 = 60;
/// All of them are reached over the loopback of the network that they share with the test.
const ADDRESS: &str = "127.0.0.1";

/// The specs, and the folders that they work in, one for each.
pub(crate) fn prepare_services(
    with: &Surroundings<'_>,
    run: &Run,
) -> Result<(Vec<ServiceSpec>, Vec<WorkFolder>), ExecError> {
    let taken = match run.network.has_proxy() {
        true => proxy::ports(with.supply.network().outside()),
        false => Vec::new(),
    };
    check_ports(&run.services, &taken)?;
    let mut folders = Vec::with_capacity(run.services.len());
    let mut specs = Vec::with_capacity(run.services.len());
    for service in &run.services {
        let folder = with.supply.memo().used_work_folder()?;
        let config = with.inputs[service.from].value.rootfs().map(|rootfs| &rootfs.config);
        let own = as_run(service, config, run)?;
        let spec = prepare(with, &own, folder.path(), &mut Claims::none())?;
        let ready = ready(service, config, &own);
        specs.push(ServiceSpec {
            name: service.name.clone(),
            port: service.port,
            ready,
            patience: service.ready.as_ref().and_then(|ready| ready.timeout).unwrap_or(PATIENCE),
            spec: Spec { is_service: true, ..spec },
        });
        folders.push(folder);
    }
    Ok((specs, folders))
}

/// The names of all servers, as `/etc/hosts` tells them.
pub(crate) fn hosts(run: &Run) -> impl Iterator<Item = (String, String)> {
    run.services.iter().map(|service| (service.name.clone(), ADDRESS.to_owned()))
}

/// They share one network, as the containers of a pod do. `taken`: by the proxy that is the test's way out.
fn check_ports(services: &[Service], taken: &[u16]) -> Result<(), ExecError> {
    for (number, service) in services.iter().enumerate() {
        if taken.contains(&service.port) {
            return Err(ExecError::Input {
                message: format!(
                    "the service `{}` wants port {}, which the proxy of the test's `network` has",
                    service.name, service.port
                ),
                help: "let it listen on another port".to_owned(),
            });
        }
        if let Some(other) = services[..number].iter().find(|other| other.port == service.port) {
            return Err(ExecError::Input {
                message: format!(
                    "the services `{}` and `{}` both want port {}, and share one network",
                    other.name, service.name, service.port
                ),
                help: "let one of them listen on another port".to_owned(),
            });
        }
    }
    Ok(())
}

fn as_run(service: &Service, config: Option<&Config>, test: &Run) -> Result<Run, ExecError> {
    let words = |words: Option<&Vec<String>>| words.cloned().unwrap_or_default();
    let entrypoint = words(config.and_then(|config| config.entrypoint.as_ref()));
    let cmd = match &service.cmd {
        Some(cmd) => cmd.clone(),
        None => words(config.and_then(|config| config.cmd.as_ref())),
    };
    let command = [entrypoint, cmd].concat();
    if command.is_empty() {
        return Err(ExecError::Input {
            message: format!("nothing says what the service `{}` executes", service.name),
            help: "write `cmd` in its block, or give its image a `cmd` or an `entrypoint`".to_owned(),
        });
    }
    Ok(Run {
        from: From::Input(service.from),
        inherit: true,
        commands: vec![Command::Exec(command)],
        env: service.env.clone(),
        hostname: Some(service.name.clone()),
        // The way out that a test has is its own.
        network: if test.network.has_proxy() { Network::None } else { test.network },
        mounts: service.mounts.clone(),
        add_hosts: hosts(test).chain(test.add_hosts.clone()).collect(),
        ..Run::default()
    })
}

/// The command that succeeds when it is ready: its own line's, else its image's health check.
fn ready(service: &Service, config: Option<&Config>, own: &Run) -> Option<Vec<String>> {
    let shell = || {
        let said = own.shell.as_ref().or_else(|| config.and_then(|config| config.shell.as_ref()));
        said.cloned().unwrap_or_else(|| ["/bin/sh", "-c"].map(str::to_owned).to_vec())
    };
    let in_shell = |script: &String| shell().into_iter().chain([script.clone()]).collect();
    if let Some(Ready { command, .. }) = &service.ready {
        return Some(match command {
            Command::Exec(words) => words.clone(),
            Command::Sh(script) => in_shell(script),
        });
    }
    match config?.healthcheck.as_ref()?.test.as_slice() {
        [word, command @ ..] if word == "CMD" && !command.is_empty() => Some(command.to_vec()),
        [word, script] if word == "CMD-SHELL" => Some(in_shell(script)),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::oci::image::Healthcheck;

    fn service(name: &str, port: u16) -> Service {
        Service {
            name: name.to_owned(),
            from: 0,
            port,
            env: Vec::new(),
            cmd: None,
            mounts: Vec::new(),
            ready: None,
        }
    }

    fn texts(words: &[&str]) -> Vec<String> {
        words.iter().map(|&word| word.to_owned()).collect()
    }

    #[test]
    fn two_services_cannot_have_one_port() {
        let test = |ports: [u16; 2]| check_ports(&[service("a", ports[0]), service("b", ports[1])], &[443]);
        assert!(test([1, 2]).is_ok());
        let Err(ExecError::Input { message, .. }) = test([80, 80]) else { panic!("both are taken") };
        assert_eq!(message, "the services `a` and `b` both want port 80, and share one network");
        let Err(ExecError::Input { message, .. }) = test([80, 443]) else { panic!("the proxy has it") };
        assert_eq!(message, "the service `b` wants port 443, which the proxy of the test's `network` has");
    }

    #[test]
    fn what_is_executed() {
        let config = Config {
            entrypoint: Some(texts(&["/server"])),
            cmd: Some(texts(&["--port", "1"])),
            ..Config::default()
        };
        let command = |service: &Service, config: Option<&Config>| {
            as_run(service, config, &Run::default()).map(|run| run.commands)
        };
        let own = Service { cmd: Some(texts(&["--port", "2"])), ..service("a", 2) };
        let of = |words: &[&str]| vec![Command::Exec(texts(words))];
        assert_eq!(command(&service("a", 1), Some(&config)).unwrap(), of(&["/server", "--port", "1"]));
        assert_eq!(command(&own, Some(&config)).unwrap(), of(&["/server", "--port", "2"]));
        assert_eq!(command(&own, None).unwrap(), of(&["--port", "2"]));
        assert!(matches!(command(&service("a", 1), None), Err(ExecError::Input { .. })));
    }

    #[test]
    fn how_it_shows_that_it_is_ready() {
        let image = |test: &[&str]| Config {
            healthcheck: Some(Healthcheck { test: texts(test), ..Healthcheck::default() }),
            ..Config::default()
        };
        let found = |service: &Service, test: &[&str]| ready(service, Some(&image(test)), &Run::default());
        let plain = service("a", 1);
        assert_eq!(found(&plain, &["CMD", "probe", "x"]), Some(texts(&["probe", "x"])));
        assert_eq!(found(&plain, &["CMD-SHELL", "a | b"]), Some(texts(&["/bin/sh", "-c", "a | b"])));
        assert_eq!(found(&plain, &["NONE"]), None);
        let command = Command::Exec(texts(&["own"]));
        let own = Service { ready: Some(Ready { command, timeout: None }), ..plain };
        assert_eq!(found(&own, &["CMD", "probe"]), Some(texts(&["own"])));
    }
}

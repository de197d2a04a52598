//! Who builds, and what runs are lent by them: values of secrets, ssh agents, and nothing that a run did not ask for.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crate::base::cancel::Cancel;
use crate::base::hidden::Hidden;
use crate::base::tree_path::TreePath;
use crate::exec::agents;
pub use crate::exec::agents::DEFAULT;
pub(crate) use crate::exec::agents::Served;
use crate::exec::executor::ExecError;
use crate::exec::prepare::check_place;
use crate::exec::sandbox::lent::{AgentSocket, SecretFile};
use crate::exec::secrets::{Lack, Masks, Secrets};
use crate::graph::op::{Run, SecretTarget};

/// Nothing, as it is by default.
#[derive(Debug, Default)]
pub struct Lender {
    pub secrets: Secrets,
    /// Sockets of ssh agents, by name; the caller's own is `agents::DEFAULT`.
    pub agents: BTreeMap<String, PathBuf>,
}

/// The values of one run's secrets, as a spec has them.
#[derive(Default)]
pub(crate) struct Lending {
    files: Vec<Arc<Hidden>>,
    variables: Vec<Hidden>,
}

impl Lender {
    /// The agents that the run asks for, served in `folder`, which is the run's own, as long as the second is kept.
    pub(crate) fn lend_agents(
        &self,
        run: &Run,
        folder: &Path,
    ) -> Result<(Vec<AgentSocket>, Vec<Served>), ExecError> {
        let (mut sockets, mut served) = (Vec::new(), Vec::new());
        for (number, name) in run.ssh.iter().enumerate() {
            let flag = agents::flag(name);
            let agent = self.agents.get(flag).ok_or_else(|| no_agent(name))?;
            let (socket, serving) = agents::serve(name, agent, folder, number)?;
            let at = TreePath::parse(format!("{AGENTS}/{flag}")).map_err(|error| ExecError::Input {
                message: format!("the ssh agent `{name}` cannot be shown: {error}"),
                help: "give it another name".to_owned(),
            })?;
            sockets.push(AgentSocket { at, socket });
            served.push(serving);
        }
        Ok((sockets, served))
    }

    /// What the run asks for, but for optional secrets that nobody has.
    pub(crate) fn lend(
        &self,
        run: &Run,
        cancel: &Cancel,
    ) -> Result<(Lending, Vec<SecretFile>, Vec<String>), ExecError> {
        let (mut lending, mut files, mut variables) = (Lending::default(), Vec::new(), Vec::new());
        for secret in &run.secrets {
            let value = match self.secrets.value(&secret.name, cancel) {
                Ok(value) => value,
                Err(Lack::Absent(_)) if secret.optional => continue,
                Err(Lack::Absent(error) | Lack::Failed(error)) => return Err(error),
            };
            match &secret.target {
                SecretTarget::File(at) => {
                    check_place(at)?;
                    let owner = secret.owner.as_ref().map(|owner| owner.0.clone());
                    files.push(SecretFile { at: at.clone(), owner, mode: secret.mode });
                    lending.files.push(value);
                }
                SecretTarget::Env(name) => {
                    lending.variables.push(variable(&secret.name, &value)?);
                    variables.push(name.clone());
                }
            }
        }
        Ok((lending, files, variables))
    }
}

/// Where their sockets are seen.
const AGENTS: &str = "run/ssh-agent";

/// Where the tools of the run look for one.
pub(crate) const AGENT_VARIABLE: &str = "SSH_AUTH_SOCK";

fn no_agent(name: &str) -> ExecError {
    let (why, help) = match name {
        "" => (
            format!("{AGENT_VARIABLE} is not set"),
            format!("start one: eval $(ssh-agent) && ssh-add; or name its socket: --ssh {DEFAULT}=SOCKET"),
        ),
        name => (format!("nothing says where `{name}` is"), format!("name its socket: --ssh {name}=SOCKET")),
    };
    ExecError::Environment { message: format!("there is no ssh agent to be lent: {why}"), help: Some(help) }
}

/// What the environment can hold.
fn variable(name: &str, value: &Hidden) -> Result<Hidden, ExecError> {
    let value = value.without_line_end();
    if value.contains(&0) || std::str::from_utf8(value).is_err() {
        return Err(ExecError::Input {
            message: format!("the secret `{name}` is no text, and only a text can be a variable"),
            help: format!("see it as a file: secret {name} at=\"/run/secrets/{name}\""),
        });
    }
    Ok(Hidden::new(value))
}

impl Lending {
    pub(crate) fn values(&self) -> Vec<&Hidden> {
        self.files.iter().map(|value| &**value).chain(&self.variables).collect()
    }

    /// What the run's output must not show.
    pub(crate) fn masks(&self) -> Masks {
        Masks::of(self.values())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exec::secrets::SecretFrom;
    use crate::graph::op::SecretMount;

    fn lend(value: Option<&str>, target: SecretTarget, optional: bool) -> Result<usize, String> {
        let from = SecretFrom::Variable { name: "V".to_owned(), value: value.map(Hidden::new) };
        let lender = Lender { secrets: Secrets::new([("s".to_owned(), from)]), ..Lender::default() };
        let secret = SecretMount { name: "s".to_owned(), target, optional, owner: None, mode: 0o400 };
        let run = Run { secrets: vec![secret], ..Run::default() };
        let lent = lender.lend(&run, &Cancel::default());
        lent.map(|(lending, ..)| lending.values().len()).map_err(|error| error.to_string())
    }

    #[test]
    fn only_optional_ones_may_be_missing() {
        let file = || SecretTarget::File(TreePath::parse("/s").unwrap());
        let variable = || SecretTarget::Env("S".to_owned());
        assert_eq!(lend(Some("x"), file(), false), Ok(1));
        assert_eq!(lend(Some("x"), variable(), false), Ok(1));
        assert_eq!(lend(None, file(), true), Ok(0));
        assert_eq!(lend(Some("a\0b"), file(), false), Ok(1));
        assert!(lend(None, variable(), false).unwrap_err().contains("`V` is not set"));
        assert!(lend(Some("a\0b"), variable(), true).unwrap_err().contains("no text"));
    }
}

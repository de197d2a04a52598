//! From a node whose inputs are settled to its action, and what the memo knows of it.

use crate::base::cancel::Cancel;
use crate::base::digest::ActionKey;
use crate::engine::remember::{Recalled, Trust, recall};
use crate::engine::values::{Held, Outputs, Values};
use crate::exec::executor::{ExecError, Executor, Listener, Stream};
use crate::exec::narrow::narrow;
use crate::graph::action::{Action, ActionInput};
use crate::graph::graph::{Graph, Node, NodeId, Select};
use crate::graph::op::{From, Op};
use crate::oci::supply::Supply;

pub enum Prepared {
    /// Looked at now; its values are what it holds now.
    Source {
        key: ActionKey,
        outputs: Outputs,
        bytes: u64,
    },
    Hit {
        key: ActionKey,
        recalled: Recalled,
    },
    Miss {
        key: ActionKey,
        action: Action,
    },
}

/// A node with what its inputs are, before any file is looked at.
pub struct Gathered<'g> {
    node: &'g Node,
    inputs: Vec<Held>,
}

pub fn gather<'g>(graph: &'g Graph, id: NodeId, values: &Values) -> Result<Gathered<'g>, ExecError> {
    let node = graph.node(id);
    let inputs = node.inputs.iter().map(|input| values.held(graph, &input.source));
    Ok(Gathered { node, inputs: inputs.collect::<Result<_, _>>()? })
}

impl Gathered<'_> {
    /// Whether `prepare` may wait for a server.
    pub fn may_wait(&self, supply: &Supply) -> Result<bool, ExecError> {
        Ok(self.node.op.is_remote() || self.wants_unpacking(supply)?)
    }

    /// Whether `prepare` has to unpack an image, and to fetch what of it is not there.
    pub fn wants_unpacking(&self, supply: &Supply) -> Result<bool, ExecError> {
        for (held, input) in self.inputs.iter().zip(&self.node.inputs) {
            let wants_files = matches!(held, Held::Files(_)) || input.select != Select::default();
            if wants_files && !supply.is_unpacked(held.layers())? {
                return Ok(true);
            }
        }
        Ok(false)
    }

    pub fn prepare(
        self,
        supply: &Supply,
        executor: &dyn Executor,
        trust: Trust,
        cancel: &Cancel,
    ) -> Result<Prepared, ExecError> {
        let mut action = self.action(supply)?;
        executor.pin(&mut action.op, &action.platform)?;
        let key = action.key();
        if action.op.is_source() {
            let made = executor.execute(&action, cancel, &mut Deaf)?;
            return Ok(Prepared::Source { key, outputs: made.outputs, bytes: made.bytes });
        }
        if action.op.reruns() {
            return Ok(Prepared::Miss { key, action });
        }
        match recall(supply.memo(), executor, key, trust)? {
            Some(recalled) => Ok(Prepared::Hit { key, recalled }),
            None => Ok(Prepared::Miss { key, action }),
        }
    }

    /// The node's action, with all that it is made of.
    pub fn action(self, supply: &Supply) -> Result<Action, ExecError> {
        let Gathered { node, inputs: held } = self;
        let mut inputs = Vec::with_capacity(held.len());
        for (held, input) in held.into_iter().zip(&node.inputs) {
            let value = held.value(supply)?;
            let value = narrow(supply, &value, &input.select).map_err(|error| error.about(&input.slot))?;
            inputs.push(ActionInput { slot: input.slot.clone(), value });
        }
        let op = completed(&node.op, &inputs);
        Ok(Action { node: node.name.clone(), op, inputs, platform: node.platform.clone() })
    }
}

/// With the texts that only the value in `from` could complete.
fn completed(op: &Op, inputs: &[ActionInput]) -> Op {
    let rootfs = match op.stands_on() {
        From::Input(index) => inputs[index].value.rootfs(),
        From::Nothing | From::Scratch | From::Host(_) => None,
    };
    let mut op = op.clone();
    op.complete(&rootfs.map(|rootfs| rootfs.config.clone()).unwrap_or_default());
    op
}

/// Sources write nothing.
struct Deaf;

impl Listener for Deaf {
    fn output(&mut self, _stream: Stream, _bytes: &[u8]) {}
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::graph::graph::{Input, OutputRef};
    use crate::graph::image_settings::ImageSettings;
    use crate::graph::late::{LateText, Piece};
    use crate::graph::op::{Assemble, Composition, Run};
    use crate::graph::value::Value;
    use crate::oci::image::{Config, Platform, Rootfs};
    use crate::store::fixture::memo;

    fn node(op: Op, inputs: Vec<Input>) -> Node {
        Node {
            name: String::new(),
            kind: "run",
            op,
            inputs,
            outputs: BTreeMap::new(),
            main: None,
            doc: None,
            coordinate: BTreeMap::new(),
            platform: Platform::current(),
            place: String::new(),
            span: 0..0,
        }
    }

    /// What `op` becomes on a base with this environment.
    fn on(op: &Op, env: &[(&str, &str)]) -> Action {
        let (_folder, memo) = memo();
        let base = Assemble { from: From::Scratch, layers: Vec::new(), result: Composition::Rootfs };
        let source = OutputRef { node: NodeId(0), output: "rootfs".to_owned() };
        let input = Input { slot: "from".to_owned(), source, select: Select::default() };
        let nodes = vec![node(Op::Assemble(base), Vec::new()), node(op.clone(), vec![input])];
        let graph = Graph { nodes, ..Graph::default() };
        let mut values = Values::new(&graph);
        let env = env.iter().map(|&(name, value)| (name.to_owned(), value.to_owned())).collect();
        let rootfs = Rootfs { layers: Vec::new(), config: Config { env, ..Config::default() } };
        let outputs = BTreeMap::from([("rootfs".to_owned(), Value::Rootfs(Box::new(rootfs)))]);
        values.set(&graph, NodeId(0), outputs);
        let supply = Supply::of(&memo);
        gather(&graph, NodeId(1), &values).unwrap().action(&supply).unwrap()
    }

    fn path() -> Vec<(String, Option<LateText>)> {
        let pieces = [Piece::Text("/srv/bin:".to_owned()), Piece::FromEnv("PATH".to_owned())];
        vec![("PATH".to_owned(), Some(LateText::new(pieces)))]
    }

    #[test]
    fn a_text_from_the_base_is_in_the_key_and_the_rest_of_the_base_is_not() {
        let run = Run { from: From::Input(0), env: path(), ..Run::default() };
        let run = Op::Run(Box::new(run));
        let known = on(&run, &[("PATH", "/bin"), ("A", "1")]);
        assert_eq!(known.key(), on(&run, &[("PATH", "/bin"), ("A", "2")]).key());
        assert_ne!(known.key(), on(&run, &[("PATH", "/usr/bin"), ("A", "1")]).key());
        let Op::Run(run) = &known.op else { panic!("a run") };
        assert_eq!(run.env, [("PATH".to_owned(), Some("/srv/bin:/bin".into()))]);
    }

    #[test]
    fn an_image_gets_its_text_from_the_base() {
        let mut settings = ImageSettings::default();
        settings.config.env = path();
        let result = Composition::Image(Box::new(settings));
        let image = Op::Assemble(Assemble { from: From::Input(0), layers: Vec::new(), result });
        let mut config = Config::default();
        let Op::Assemble(Assemble { result: Composition::Image(settings), .. }) =
            on(&image, &[("PATH", "/bin")]).op
        else {
            panic!("an image")
        };
        settings.config.apply(&mut config);
        assert_eq!(config.env, [("PATH".to_owned(), "/srv/bin:/bin".to_owned())]);
        assert_ne!(on(&image, &[("PATH", "/a")]).key(), on(&image, &[]).key());
    }
}

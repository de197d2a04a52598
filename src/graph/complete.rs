//! Completing an op before it has a key: its open texts get what the configuration of its `from` says.
//! Afterwards nothing of that configuration is in the op but the completed text.

use crate::graph::late::LateText;
use crate::graph::op::{Composition, From, Op};
use crate::oci::image::Config;

impl Op {
    /// What the node stands on; `Nothing` for ops that stand on nothing.
    pub const fn stands_on(&self) -> From {
        match self {
            Op::Assemble(assemble) => assemble.from,
            Op::Run(run) => run.from,
            Op::Scan(_) | Op::Host(_) | Op::Fetch(_) | Op::Pull(_) | Op::Check(_) => From::Nothing,
        }
    }

    /// `config` is that of the value in `from`; the empty one where there is none.
    pub fn complete(&mut self, config: &Config) {
        match self {
            Op::Assemble(assemble) => {
                if let Composition::Image(settings) = &mut assemble.result {
                    complete_all(&mut settings.config.env, config);
                    complete_all(&mut settings.config.labels, config);
                }
            }
            Op::Run(run) => {
                complete_all(&mut run.env, config);
                for service in &mut run.services {
                    complete_all(&mut service.env, config);
                }
            }
            Op::Scan(_) | Op::Host(_) | Op::Fetch(_) | Op::Pull(_) | Op::Check(_) => {}
        }
    }
}

fn complete_all(texts: &mut [(String, Option<LateText>)], config: &Config) {
    for (_, text) in texts {
        if let Some(text) = text.as_mut().filter(|text| !text.is_known()) {
            *text = text.complete(config);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::graph::image_settings::ImageSettings;
    use crate::graph::late::Piece;
    use crate::graph::op::{Assemble, Run, Service};

    fn open() -> Vec<(String, Option<LateText>)> {
        let pieces = [Piece::Text("/own:".to_owned()), Piece::FromEnv("PATH".to_owned())];
        vec![("GONE".to_owned(), None), ("PATH".to_owned(), Some(LateText::new(pieces)))]
    }

    fn completed() -> Vec<(String, Option<LateText>)> {
        vec![("GONE".to_owned(), None), ("PATH".to_owned(), Some("/own:/bin".into()))]
    }

    #[test]
    fn every_open_text_of_an_op() {
        let config = Config { env: vec![("PATH".to_owned(), "/bin".to_owned())], ..Config::default() };
        let service = Service {
            name: "db".to_owned(),
            from: 0,
            port: 1,
            env: open(),
            cmd: None,
            mounts: Vec::new(),
            ready: None,
        };
        let mut op = Op::Run(Box::new(Run { env: open(), services: vec![service], ..Run::default() }));
        op.complete(&config);
        let Op::Run(run) = op else { unreachable!() };
        assert_eq!((run.env, run.services[0].env.clone()), (completed(), completed()));

        let mut settings = ImageSettings::default();
        (settings.config.env, settings.config.labels) = (open(), open());
        let result = Composition::Image(Box::new(settings));
        let mut op = Op::Assemble(Assemble { from: From::Scratch, layers: Vec::new(), result });
        op.complete(&config);
        let Op::Assemble(Assemble { result: Composition::Image(settings), .. }) = op else { unreachable!() };
        assert_eq!((settings.config.env, settings.config.labels), (completed(), completed()));
    }
}

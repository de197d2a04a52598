//! Blobs of an outgoing image into a sink, those that it lacks, as many at once as it takes. Nothing is opened
//! that the sink has already.

use std::collections::BTreeSet;
use std::io::Cursor;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use crate::oci::descriptor::Descriptor;
use crate::oci::error::OciError;
use crate::oci::outgoing::{Document, Outgoing, OutgoingLayer};
use crate::oci::sink::{Blob, Bytes, Sink};
use crate::oci::supply::Supply;

/// Sends what the sink lacks, and gives it its names.
pub fn export(supply: &Supply, outgoing: &Outgoing, sink: &dyn Sink) -> Result<(), OciError> {
    if sink.is_current(outgoing)? {
        return Ok(());
    }
    let is_there = match &outgoing.index {
        Some(index) => sink.has(&index.descriptor)?,
        None => false,
    };
    if !is_there {
        let mut lacking = Vec::new();
        for image in &outgoing.images {
            if !sink.has(&image.manifest.descriptor)? {
                lacking.push(image);
            }
        }
        let layers = lacking.iter().flat_map(|image| image.layers.iter().map(Part::Layer));
        let configs = lacking.iter().map(|image| Part::Document(&image.config));
        send_all(supply, layers.chain(configs).collect(), sink)?;
        send_all(supply, lacking.iter().map(|image| Part::Document(&image.manifest)).collect(), sink)?;
        send_all(supply, outgoing.index.iter().map(Part::Document).collect(), sink)?;
    }
    if supply.cancel().is_raised() {
        return Err(OciError::Cancelled);
    }
    sink.finish(outgoing)
}

#[derive(Clone, Copy)]
enum Part<'a> {
    Layer(&'a OutgoingLayer),
    Document(&'a Document),
}

/// Each once. After the first error nothing more is begun.
fn send_all(supply: &Supply, parts: Vec<Part<'_>>, sink: &dyn Sink) -> Result<(), OciError> {
    let mut seen = BTreeSet::new();
    let parts: Vec<_> = parts.into_iter().filter(|part| seen.insert(part.descriptor().digest)).collect();
    let next = AtomicUsize::new(0);
    let failed: Mutex<Option<OciError>> = Mutex::new(None);
    let work = || {
        while let Some(part) = parts.get(next.fetch_add(1, Ordering::Relaxed)) {
            if let Err(error) = send(supply, *part, sink) {
                next.store(parts.len(), Ordering::Relaxed);
                failed.lock().expect("bug: poisoned").get_or_insert(error);
            }
        }
    };
    match sink.parallel().min(parts.len()) {
        0 | 1 => work(),
        several => std::thread::scope(|scope| (0..several).for_each(|_| drop(scope.spawn(work)))),
    }
    failed.into_inner().expect("bug: poisoned").map_or(Ok(()), Err)
}

fn send(supply: &Supply, part: Part<'_>, sink: &dyn Sink) -> Result<(), OciError> {
    if supply.cancel().is_raised() {
        return Err(OciError::Cancelled);
    }
    if sink.has(part.descriptor())? {
        return Ok(());
    }
    let open = || -> Result<Bytes, OciError> {
        match part {
            Part::Layer(layer) => layer.open(supply),
            Part::Document(document) => Ok(Box::new(Cursor::new(document.bytes.clone()))),
        }
    };
    sink.blob(&Blob { descriptor: part.descriptor(), open: &open })
}

impl<'a> Part<'a> {
    fn descriptor(self) -> &'a Descriptor {
        match self {
            Part::Layer(layer) => &layer.descriptor,
            Part::Document(document) => &document.descriptor,
        }
    }
}

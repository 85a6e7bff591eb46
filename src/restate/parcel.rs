//! What is too large to travel in one piece: it is kept in pieces beside the run that it is of, and its label travels instead.

use restate_sdk::context::{ContextWriteState as _, ObjectContext};
use restate_sdk::serde::Json;
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use serde_json::value::{RawValue, to_raw_value};
use sha2::{Digest as _, Sha256};

use crate::model::code;
use crate::model::fault::{Fault, Kind};
use crate::restate::client::Client;

/// The name of the object that keeps pieces; its key is a run's id.
pub(super) const PARCEL: &str = "OrchestratorParcel";

/// What is larger travels in pieces, in bytes: a quarter of what Restate lets a message have.
pub(super) const WHOLE: usize = 8 * 1024 * 1024;

/// How large a piece is, in bytes. As part of a message each quote in it takes two.
const PIECE: usize = 4 * 1024 * 1024;

/// What is larger does not travel, in bytes: as much as a server may answer, and as the outputs of a run may take together.
pub(super) const LARGEST: usize = 64 * 1024 * 1024;

/// How the label of something in pieces begins.
const MARK: &str = r#"{"in_pieces":"#;

/// Something that travels: as it is, or the label of it.
#[derive(Debug, Clone, Serialize, Deserialize)]
#[serde(transparent)]
pub(super) struct Parcel(Box<RawValue>);

/// Says where something is kept.
#[derive(Debug, Serialize, Deserialize)]
struct Label {
    in_pieces: usize,
    /// The run that it is kept beside.
    of: String,
    /// Of all that it is.
    hash: String,
}

/// A part of something.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Piece {
    name: String,
    text: String,
}

impl Parcel {
    /// Something that travels whole.
    pub(super) fn whole(what: &impl Serialize) -> Result<Self, Fault> {
        let unfit = |why: serde_json::Error| Fault::new(Kind::Internal, code::INTERNAL, why.to_string());
        to_raw_value(what).map(Self).map_err(unfit)
    }

    /// Something of a run, kept beside it if it is too large to travel whole. To do it twice is fine.
    pub(super) async fn pack(what: &impl Serialize, run: &str, client: &Client) -> Result<Self, Fault> {
        let whole = Self::whole(what)?;
        let text = whole.0.get();
        if text.len() <= WHOLE {
            return Ok(whole);
        }
        if text.len() > LARGEST {
            return Err(too_large(text.len()));
        }
        let hash = hash(text);
        let pieces = pieces(text);
        let label = Label { in_pieces: pieces.len(), of: run.to_owned(), hash };
        let kept = client.kept_pieces(&label.of, &label.hash).await?;
        for (number, text) in pieces.into_iter().enumerate() {
            let name = name(&label.hash, number);
            if !kept.contains(&name) {
                client.keep_piece(&label.of, &Piece { name, text: text.to_owned() }).await?;
            }
        }
        Self::whole(&label)
    }

    /// How large it is as it travels, in bytes.
    pub(super) fn size(&self) -> usize {
        self.0.get().len()
    }

    /// Whether it is kept elsewhere.
    pub(super) fn is_in_pieces(&self) -> bool {
        self.0.get().starts_with(MARK)
    }

    /// What it is.
    pub(super) async fn open<T: DeserializeOwned>(&self, client: &Client) -> Result<T, Fault> {
        if !self.is_in_pieces() {
            return read(self.0.get());
        }
        let label: Label = read(self.0.get())?;
        let mut text = String::new();
        for number in 0..label.in_pieces {
            text.push_str(&client.piece(&label.of, &name(&label.hash, number)).await?);
        }
        if hash(&text) != label.hash {
            let message = format!("what is kept in pieces of run {} is not what was put there", label.of);
            return Err(Fault::new(Kind::Internal, code::INTERNAL, message));
        }
        read(&text)
    }
}

/// Keeps a piece.
pub(super) fn keep(ctx: &ObjectContext<'_>, piece: Piece) {
    ctx.set(&piece.name, Json(piece.text));
}

fn name(hash: &str, number: usize) -> String {
    format!("{hash}/{number:04}")
}

fn hash(text: &str) -> String {
    Sha256::digest(text.as_bytes()).iter().fold(String::new(), |hash, byte| hash + &format!("{byte:02x}"))
}

fn pieces(text: &str) -> Vec<&str> {
    let mut pieces = Vec::new();
    let mut rest = text;
    while !rest.is_empty() {
        let (piece, after) = rest.split_at(rest.floor_char_boundary(PIECE));
        pieces.push(piece);
        rest = after;
    }
    pieces
}

fn read<T: DeserializeOwned>(text: &str) -> Result<T, Fault> {
    serde_json::from_str(text).map_err(|why| {
        Fault::new(Kind::Internal, code::BAD_ANSWER, format!("what has come by way of Restate cannot be read: {why}"))
    })
}

pub(super) fn too_large(size: usize) -> Fault {
    let message = format!("it has {size} bytes with what belongs to it, and on Restate no more than {LARGEST} travel");
    Fault::new(Kind::Invalid, code::PAYLOAD_TOO_LARGE, message)
        .hint("pass on less, or where it is in place of what it is")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pieces_are_all_of_it_and_end_between_characters() {
        let text = "ä".repeat(PIECE / 2 + 7) + "x" + &"€".repeat(PIECE / 3);
        let pieces = pieces(&text);
        assert_eq!(pieces.concat(), text);
        assert!(pieces.len() == 3 && pieces.iter().all(|piece| piece.len() <= PIECE));
    }

    #[test]
    fn a_label_is_known_by_how_it_begins() {
        let label = Label { in_pieces: 3, of: "r".to_owned(), hash: "h".to_owned() };
        assert!(Parcel::whole(&label).expect("a parcel").is_in_pieces());
        assert!(!Parcel::whole(&serde_json::json!({ "at": "in_pieces" })).expect("a parcel").is_in_pieces());
    }
}

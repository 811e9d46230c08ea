//! Every decoder as a function from bytes to the bytes that its value has.

pub(crate) use super::frame::Frame;
use super::message::{
    Append, Chunk, Hello, decode_appended, decode_canvass, decode_founders, decode_vote,
    decode_voted, decode_yes, encode_appended, encode_canvass, encode_founders, encode_vote,
    encode_voted, encode_yes,
};
use super::standing::Told;
use crate::local::{Report, decode_changes, decode_watch, encode_changes, encode_watch};

type Decoder = fn(&[u8]) -> Option<Vec<u8>>;

pub(crate) fn decoders() -> [Decoder; 13] {
    [
        |bytes| Hello::decode(bytes).ok().map(|hello| hello.encode()),
        |bytes| Append::decode(bytes).ok().map(|append| append.encode()),
        |bytes| Chunk::decode(bytes).ok().map(|chunk| chunk.encode()),
        |bytes| Told::decode(bytes).ok().map(|told| told.encode()),
        |bytes| decode_appended(bytes).ok().map(|response| encode_appended(&response)),
        |bytes| decode_vote(bytes).ok().map(|request| encode_vote(&request)),
        |bytes| decode_voted(bytes).ok().map(|response| encode_voted(&response)),
        |bytes| decode_canvass(bytes).ok().map(encode_canvass),
        |bytes| decode_yes(bytes).ok().map(encode_yes),
        |bytes| decode_founders(bytes).ok().map(|ids| encode_founders(ids.into_iter())),
        |bytes| Report::decode(bytes).ok().map(|report| report.encode()),
        |bytes| decode_watch(bytes).ok().map(|(after, keys)| encode_watch(after, &keys)),
        |bytes| decode_changes(bytes).ok().map(|changes| encode_changes(&changes)),
    ]
}

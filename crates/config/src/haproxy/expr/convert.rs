//! Converters: what is done to a sample between its fetch and its use (HAProxy's manual, 7.3.1).

use super::arguments::{Call, Wrong};
use super::pattern::{self, How, Network, Range, network, prefix_of, range};
use super::regular::Regular;
use super::{Kind, Value, Variable, hash, read};

/// One converter with its arguments.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Converter {
    Lower,
    Upper,
    Length,
    /// The part with this number (from the end if it is negative) between separators, and how many
    /// more; 0: all that follow.
    Field {
        index: i32,
        separators: Vec<u8>,
        count: u32,
    },
    /// The same, of parts that are not empty.
    Word {
        index: i32,
        separators: Vec<u8>,
        count: u32,
    },
    /// From an offset, so many.
    Bytes {
        offset: usize,
        length: Option<usize>,
    },
    Map(Box<Map>),
    Base64,
    FromBase64,
    UrlDecode {
        is_query: bool,
    },
    UrlEncode,
    Hex,
    FromHexNumber,
    Operation(Operation, Number),
    Bool,
    Not,
    Odd,
    Even,
    Negative,
    Complement,
    Concat {
        before: Vec<u8>,
        variable: Option<Variable>,
        after: Vec<u8>,
    },
    IpMask {
        four: u8,
        six: Option<u8>,
    },
    /// Less, equal or more than a variable: -1, 0, 1.
    Compare(Variable),
    Choose {
        yes: Vec<u8>,
        no: Vec<u8>,
    },
    Replace {
        from: Regular,
        to: Vec<u8>,
        everywhere: bool,
    },
    TrimLeft(Vec<u8>),
    TrimRight(Vec<u8>),
    CutLine,
    HostOnly,
    PortOnly,
    SetVariable(Variable),
    UnsetVariable(Variable),
}

#[derive(Clone, Copy, Debug, Eq, PartialEq)]
pub enum Operation {
    Add,
    Subtract,
    Multiply,
    Divide,
    Modulo,
    And,
    Or,
    ExclusiveOr,
}

/// The second operand.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Number {
    Is(i64),
    Of(Variable),
}

/// A file of keys and values, as it was when the configuration was read.
#[derive(Clone, Debug, Eq, PartialEq)]
pub struct Map {
    pub path: String,
    pub entries: Entries,
    pub default: Option<Value>,
    /// Of keys and values: what tells that the file has changed.
    pub digest: u64,
}

/// In the order in which they are tried.
#[derive(Clone, Debug, Eq, PartialEq)]
pub enum Entries {
    /// Exact keys are sorted.
    Words(How, Vec<(Vec<u8>, Value)>),
    Ip(Vec<(Network, Value)>),
    Int(Vec<(Range, Value)>),
    /// Whether `\1` in the value stands for a group.
    Regular(Vec<(Regular, Value)>, bool),
}

/// One row of the table.
pub(crate) struct Row {
    pub(crate) name: &'static str,
    pub(crate) arguments: &'static str,
    pub(crate) takes: Kind,
    pub(crate) gives: Kind,
    pub(crate) does: &'static str,
    pub(crate) make: fn(&Call<'_>) -> Result<Converter, Wrong>,
}

type Made = Result<Converter, Wrong>;

const fn row(
    name: &'static str,
    arguments: &'static str,
    takes: Kind,
    gives: Kind,
    does: &'static str,
    make: fn(&Call<'_>) -> Made,
) -> Row {
    Row { name, arguments, takes, gives, does, make }
}

use Kind::{Bin, Bool, Int, Ip, Str};

/// Those that we run.
pub(crate) const CONVERTERS: &[Row] = &[
    row("add", "<number>", Int, Int, "the sum", |c| operation(c, Operation::Add)),
    row("and", "<number>", Int, Int, "bits that both have", |c| operation(c, Operation::And)),
    row("b64dec", "", Str, Bin, "reads base64", |_| Ok(Converter::FromBase64)),
    row("base64", "", Bin, Str, "writes base64", |_| Ok(Converter::Base64)),
    row("bool", "", Int, Bool, "whether it is not 0", |_| Ok(Converter::Bool)),
    row("bytes", "<offset>[,<length>]", Bin, Bin, "a part of it", bytes),
    row("concat", "[<before>[,<variable>[,<after>]]]", Str, Str, "with more behind it", concat),
    row("cpl", "", Int, Int, "every bit the other way", |_| Ok(Converter::Complement)),
    row("cut_crlf", "", Str, Str, "up to the end of its line", |_| Ok(Converter::CutLine)),
    row("div", "<number>", Int, Int, "the quotient", |c| operation(c, Operation::Divide)),
    row("even", "", Int, Bool, "whether it is even", |_| Ok(Converter::Even)),
    row("field", "<index>,<separators>[,<count>]", Str, Str, "a part between separators", |c| {
        parts(c).map(|(index, separators, count)| Converter::Field { index, separators, count })
    }),
    row("hex", "", Bin, Str, "hexadecimal digits", |_| Ok(Converter::Hex)),
    row("hex2i", "", Str, Int, "reads hexadecimal digits", |_| Ok(Converter::FromHexNumber)),
    row("host_only", "", Str, Str, "a host without its port", |_| Ok(Converter::HostOnly)),
    row("iif", "<yes>,<no>", Bool, Str, "one text or the other", |c| {
        let [yes, no] = [c.required(0, "two texts")?, c.required(1, "two texts")?];
        Ok(Converter::Choose { yes: yes.as_bytes().to_vec(), no: no.as_bytes().to_vec() })
    }),
    row("ipmask", "<mask>[,<mask6>]", Ip, Ip, "its network", ip_mask),
    row("length", "", Str, Int, "how many bytes", |_| Ok(Converter::Length)),
    row("lower", "", Str, Str, "in small letters", |_| Ok(Converter::Lower)),
    row("ltrim", "<bytes>", Str, Str, "without these before it", |c| {
        Ok(Converter::TrimLeft(c.required(0, "bytes")?.as_bytes().to_vec()))
    }),
    row("mod", "<number>", Int, Int, "the remainder", |c| operation(c, Operation::Modulo)),
    row("mul", "<number>", Int, Int, "the product", |c| operation(c, Operation::Multiply)),
    row("neg", "", Int, Int, "the opposite", |_| Ok(Converter::Negative)),
    row("not", "", Bool, Bool, "the other of both", |_| Ok(Converter::Not)),
    row("odd", "", Int, Bool, "whether it is odd", |_| Ok(Converter::Odd)),
    row("or", "<number>", Int, Int, "bits that one has", |c| operation(c, Operation::Or)),
    row("port_only", "", Str, Int, "the port behind a host, or 0", |_| Ok(Converter::PortOnly)),
    row("regsub", "<regex>,<text>[,<flags>]", Str, Str, "another text where it matches", replace),
    row("rtrim", "<bytes>", Str, Str, "without these behind it", |c| {
        Ok(Converter::TrimRight(c.required(0, "bytes")?.as_bytes().to_vec()))
    }),
    row("set-var", "<variable>", Kind::Any, Kind::Any, "keeps it in a variable", |c| {
        Ok(Converter::SetVariable(read::variable(c.required(0, "a variable")?)?))
    }),
    row("strcmp", "<variable>", Str, Int, "less, equal or more than it: -1, 0, 1", |c| {
        Ok(Converter::Compare(read::variable(c.required(0, "a variable")?)?))
    }),
    row("sub", "<number>", Int, Int, "the difference", |c| operation(c, Operation::Subtract)),
    row("ub64dec", "", Str, Bin, "reads base64 of addresses", |_| Ok(Converter::FromBase64)),
    row("unset-var", "<variable>", Kind::Any, Kind::Any, "forgets a variable", |c| {
        Ok(Converter::UnsetVariable(read::variable(c.required(0, "a variable")?)?))
    }),
    row("upper", "", Str, Str, "in capitals", |_| Ok(Converter::Upper)),
    row("url_dec", "[<in form>]", Str, Str, "reads %XX", |c| {
        Ok(Converter::UrlDecode { is_query: c.number(0)?.is_some_and(|number| number != 0) })
    }),
    row("url_enc", "[query]", Str, Str, "writes %XX", |c| match c.text(0) {
        None | Some("query") => Ok(Converter::UrlEncode),
        Some(other) => Err(format!("`url_enc` knows `query`, found `{other}`").into()),
    }),
    row("word", "<index>,<separators>[,<count>]", Str, Str, "a word between separators", |c| {
        parts(c).map(|(index, separators, count)| Converter::Word { index, separators, count })
    }),
    row("xor", "<number>", Int, Int, "bits that only one has", |c| {
        operation(c, Operation::ExclusiveOr)
    }),
];

/// From `haproxy -dKcnv` of 2.6.12; `map` and its like are put together in [`map`].
pub(crate) const OTHERS: &str = "\
    add_item aes_gcm_dec be2dec be2hex capture-req capture-res crc32 crc32c debug digest djb2 \
    fix_is_valid fix_tag_value hmac htonl http_date in_table json json_query jwt_header_query \
    jwt_payload_query jwt_verify language ltime mqtt_field_value mqtt_is_valid nbsrv protobuf sdbm \
    secure_memcmp sha1 sha2 srv_queue ssl_cert table_bytes_in_rate table_bytes_out_rate \
    table_conn_cnt table_conn_cur table_conn_rate table_expire table_gpc table_gpc0 \
    table_gpc0_rate table_gpc1 table_gpc1_rate table_gpc_rate table_gpt table_gpt0 \
    table_http_err_cnt table_http_err_rate table_http_fail_cnt table_http_fail_rate \
    table_http_req_cnt table_http_req_rate table_idle table_kbytes_in table_kbytes_out \
    table_server_id table_sess_cnt table_sess_rate table_trackers ub64enc ungrpc utime wt6 xxh3 \
    xxh32 xxh64";

fn operation(call: &Call<'_>, operation: Operation) -> Made {
    let text = call.required(0, "a number or a variable")?;
    let number = match text.parse::<i64>() {
        Ok(number) => Number::Is(number),
        Err(_) => Number::Of(read::variable(text)?),
    };
    if matches!(operation, Operation::Divide | Operation::Modulo) && number == Number::Is(0) {
        return Err("nothing can be divided by 0".to_owned().into());
    }
    Ok(Converter::Operation(operation, number))
}

fn bytes(call: &Call<'_>) -> Made {
    call.required(0, "an offset")?;
    let size = |number: i64| {
        usize::try_from(number).map_err(|_| Wrong::from(format!("`{number}` is no size")))
    };
    let offset = size(call.number(0)?.unwrap_or(0))?;
    Ok(Converter::Bytes { offset, length: call.number(1)?.map(size).transpose()? })
}

fn concat(call: &Call<'_>) -> Made {
    let variable = call.text(1).map(read::variable).transpose()?;
    let text = |at| call.text(at).unwrap_or_default().as_bytes().to_vec();
    Ok(Converter::Concat { before: text(0), variable, after: text(2) })
}

fn parts(call: &Call<'_>) -> Result<(i32, Vec<u8>, u32), Wrong> {
    call.required(0, "a number and separators")?;
    let index = call.small(0)?.unwrap_or(0);
    let separators = call.required(1, "a number and separators")?;
    let count = call.small(2)?.unwrap_or(1);
    if index == 0 {
        return Err(format!("`{}` counts from 1, or from -1 for the last", call.name).into());
    }
    let count =
        u32::try_from(count).map_err(|_| Wrong::from("a count is no less than 0".to_owned()))?;
    Ok((index, separators.as_bytes().to_vec(), count))
}

fn ip_mask(call: &Call<'_>) -> Made {
    let text = call.required(0, "a mask like 24")?;
    let four = match text.parse::<u8>() {
        Ok(prefix) if prefix <= 32 => Some(prefix),
        _ => text.parse().ok().and_then(prefix_of),
    };
    let four = four.ok_or_else(|| Wrong::from(format!("`{text}` is no mask like 24")))?;
    let six = match call.text(1) {
        None => None,
        Some(text) => match text.parse::<u8>() {
            Ok(prefix) if prefix <= 128 => Some(prefix),
            _ => return Err(Wrong::NotYet(format!("`{text}` as a mask of `ipmask`"))),
        },
    };
    Ok(Converter::IpMask { four, six })
}

fn replace(call: &Call<'_>) -> Made {
    let from = call.required(0, "a regular expression and a text")?;
    let to = call.required(1, "a regular expression and a text")?.as_bytes().to_vec();
    let flags = call.text(2).unwrap_or_default();
    if let Some(flag) = flags.chars().find(|flag| !"ig".contains(*flag)) {
        return Err(format!("`regsub` knows the flags i and g, found `{flag}`").into());
    }
    let from = Regular::new(from, flags.contains('i'))?;
    Ok(Converter::Replace { from, to, everywhere: flags.contains('g') })
}

/// `map`, `map_KEY` and `map_KEY_VALUE`: the types and the maker, if that is the name of one.
pub(crate) fn map(call: &Call<'_>) -> Option<Result<(Kind, Kind, Converter), Wrong>> {
    let rest = call.name.strip_prefix("map")?;
    let mut words = rest.split('_').skip(1);
    let (key, value) = (words.next().unwrap_or("str"), words.next().unwrap_or("str"));
    let is_name = rest.is_empty() || rest.starts_with('_');
    if !is_name || words.next().is_some() || key == "regm" && value != "str" {
        return None;
    }
    let how = match key {
        "str" => How::Exact,
        "beg" => How::Begins,
        "end" => How::Ends,
        "sub" => How::Contains,
        "dir" => How::Directory,
        "dom" => How::Domain,
        "reg" | "regm" | "int" | "ip" => How::Exact,
        _ => return None,
    };
    let gives = match value {
        "str" => Str,
        "int" => Int,
        "ip" => Ip,
        _ => return None,
    };
    let takes = match key {
        "int" => Int,
        "ip" => Ip,
        _ => Str,
    };
    Some(load(call, key, how, gives).map(|map| (takes, gives, Converter::Map(Box::new(map)))))
}

/// Names of all such converters.
pub(crate) fn maps() -> Vec<String> {
    let keys = ["str", "beg", "end", "sub", "dir", "dom", "reg", "int", "ip"];
    let of = |key: &str| ["", "_int", "_ip"].map(|value| format!("map_{key}{value}"));
    let all = keys.into_iter().flat_map(of);
    ["map".to_owned(), "map_regm".to_owned()].into_iter().chain(all).collect()
}

fn load(call: &Call<'_>, key: &str, how: How, gives: Kind) -> Result<Map, Wrong> {
    let path = call.required(0, "a file")?;
    let default = call.text(1).map(|text| value(text, gives)).transpose()?;
    let mut digest = 0;
    let mut pairs = Vec::new();
    for (number, line) in pattern::lines(path)? {
        digest = hash(&[&u64::to_be_bytes(digest), line.as_bytes()].concat());
        let (key, text) = line.split_once([' ', '\t']).unwrap_or((&line, ""));
        let value = value(text.trim(), gives).map_err(|wrong| wrong.inside(path, number))?;
        pairs.push((number, key.to_owned(), value));
    }
    let entries = match key {
        "ip" => {
            let mut all = each(path, pairs, network)?;
            // The narrowest first.
            all.sort_by_key(|(network, _)| std::cmp::Reverse(network.prefix));
            Entries::Ip(all)
        }
        "int" => Entries::Int(each(path, pairs, range)?),
        "reg" | "regm" => {
            let all = each(path, pairs, |text| Regular::new(text, false))?;
            Entries::Regular(all, key == "regm")
        }
        _ => {
            let mut all = each(path, pairs, |text| Ok(text.as_bytes().to_vec()))?;
            match how {
                // Of equal keys the first counts, and of beginnings the longest.
                How::Exact => {
                    all.sort_by(|one, other| one.0.cmp(&other.0));
                    all.dedup_by(|later, first| later.0 == first.0);
                }
                How::Begins => all.sort_by_key(|(key, _)| std::cmp::Reverse(key.len())),
                How::Ends | How::Contains | How::Directory | How::Domain => {}
            }
            Entries::Words(how, all)
        }
    };
    Ok(Map { path: path.to_owned(), entries, default, digest })
}

fn each<K>(
    path: &str,
    pairs: Vec<(usize, String, Value)>,
    key: impl Fn(&str) -> Result<K, Wrong>,
) -> Result<Vec<(K, Value)>, Wrong> {
    let one = |(number, text, value): (usize, String, Value)| {
        key(&text).map(|key| (key, value)).map_err(|wrong| wrong.inside(path, number))
    };
    pairs.into_iter().map(one).collect()
}

fn value(text: &str, kind: Kind) -> Result<Value, Wrong> {
    let wrong = |what: &str| Wrong::from(format!("`{text}` is no {what}"));
    Ok(match kind {
        Int => Value::Int(text.parse().map_err(|_| wrong("number"))?),
        Ip => Value::Ip(text.parse().map_err(|_| wrong("address"))?),
        Kind::Any | Bool | Str | Bin | Kind::Method => Value::Str(text.as_bytes().to_vec()),
    })
}

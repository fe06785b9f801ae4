//! Calls about MFA devices as words. `phone` is a device at the path `/`, anything with colons a
//! serial number; `key1@3` is the code of the first thing that was made, which is a device, in the
//! third step after that in which histories begin.

use hmac::{Hmac, Mac};
use identity::{
    Command, Query, WithCode,
    mfa_device::{
        AssignmentStatus, CreateVirtualMfaDevice, DeleteVirtualMfaDevice, ListMfaDevices,
        ListVirtualMfaDevices, OwnMfaDevice, SerialNumber, TwoCodes,
    },
    sts, tag as t,
};
use model::{Secret, UserName};
use sha1::Sha1;

use crate::{
    history::{ACCOUNT, BEGIN_SECS},
    parse::{Call, name, optional_user, page, parse, tags},
};

/// What is kept of a device that was made.
pub(crate) const SEED: &str = "seed:";

fn serial(text: &str) -> SerialNumber {
    SerialNumber(match text.contains(':') {
        true => text.to_owned(),
        false => format!("arn:aws:iam::{ACCOUNT}:mfa/{text}"),
    })
}

/// The code of a step. RFC 6238, as whoever holds the device computes it.
pub(crate) fn code(seed: &str, step: u64) -> Secret<String> {
    let seed = seed.strip_prefix(SEED).expect("a device's");
    let byte = |at: usize| u8::from_str_radix(&seed[at..at + 2], 16).unwrap();
    let seed: Vec<u8> = (0..seed.len()).step_by(2).map(byte).collect();
    let mut mac = Hmac::<Sha1>::new_from_slice(&seed).unwrap();
    mac.update(&step.to_be_bytes());
    let hash = mac.finalize().into_bytes();
    let at = usize::from(hash[19] & 15);
    let number = u32::from_be_bytes(hash[at..at + 4].try_into().unwrap()) & 0x7fff_ffff;
    Secret::new(format!("{:06}", number % 1_000_000))
}

fn code_of(text: &str, made: &[String]) -> Secret<String> {
    let Some((key, step)) = text.split_once('@') else { return Secret::new(text.to_owned()) };
    let seed = &made[key.strip_prefix("key").unwrap().parse::<usize>().unwrap() - 1];
    code(seed, (BEGIN_SECS / 30).checked_add_signed(step.parse().unwrap()).unwrap())
}

/// `-` is the caller itself.
fn user(text: &str) -> Option<UserName> {
    (text != "-").then(|| name(text))
}

pub(crate) fn command(action: &str, a: &[&str], made: &[String]) -> Option<Command> {
    use Command as C;
    let own = || OwnMfaDevice { user: user(a[0]), serial: serial(a[1]) };
    let two_codes = || TwoCodes {
        user: name(a[0]),
        serial: serial(a[1]),
        codes: [code_of(a[2], made), code_of(a[3], made)],
    };
    Some(match action {
        "CreateVirtualMFADevice" => C::CreateVirtualMFADevice(CreateVirtualMfaDevice {
            name: name(a[0]),
            path: name(a.get(1).copied().unwrap_or("/")),
            tags: tags(a.get(2..).unwrap_or_default()),
        }),
        "EnableMFADevice" => C::EnableMFADevice(two_codes()),
        "ResyncMFADevice" => C::ResyncMFADevice(two_codes()),
        "DeactivateMFADevice" => C::DeactivateMFADevice(own()),
        "DeleteVirtualMFADevice" => {
            C::DeleteVirtualMFADevice(DeleteVirtualMfaDevice { serial: serial(a[0]) })
        }
        "TagMFADevice" => C::TagMFADevice(t::AddTags { owner: serial(a[0]), tags: tags(&a[1..]) }),
        "UntagMFADevice" => {
            C::UntagMFADevice(t::RemoveTags { owner: serial(a[0]), keys: vec![name(a[1])] })
        }
        "GetSessionTokenWith" => C::GetSessionToken(WithCode {
            call: sts::GetSessionToken { duration: None },
            serial: serial(a[0]),
            code: code_of(a[1], made),
        }),
        "AssumeRoleWith" => {
            let Call::Query(Query::AssumeRole(call)) = parse("AssumeRole", &a[2..], made) else {
                panic!("a query")
            };
            let (serial, code) = (serial(a[0]), code_of(a[1], made));
            C::AssumeRole(WithCode { call, serial, code })
        }
        _ => return None,
    })
}

pub(crate) fn query(action: &str, a: &[&str]) -> Option<Query> {
    use Query as Q;
    Some(match action {
        "GetMFADevice" => Q::GetMFADevice(OwnMfaDevice { user: user(a[0]), serial: serial(a[1]) }),
        "ListMFADevices" => {
            Q::ListMFADevices(ListMfaDevices { user: optional_user(a), page: page() })
        }
        "ListVirtualMFADevices" => Q::ListVirtualMFADevices(ListVirtualMfaDevices {
            status: a.first().map_or(AssignmentStatus::Any, |text| name(text)),
            page: page(),
        }),
        "ListMFADeviceTags" => {
            Q::ListMFADeviceTags(t::ListTags { owner: serial(a[0]), page: page() })
        }
        _ => return None,
    })
}

//! Virtual MFA devices. AWS: `CreateVirtualMFADevice`, `EnableMFADevice`, `ResyncMFADevice`,
//! `DeactivateMFADevice`, `DeleteVirtualMFADevice`, `GetMFADevice`, `ListMFADevices`,
//! `ListVirtualMFADevices`.
//!
//! **Invariants.** A seed is written in the answer to `CreateVirtualMFADevice` only, as text and as
//! a picture. Codes show in no error. Elements come in the order of AWS's service model.
//!
//! **Must not know:** which codes are right.

use base64::{Engine, engine::general_purpose::STANDARD};
use data_encoding::BASE32_NOPAD;
use identity::{
    Command, Listing, Query,
    mfa_device::{
        AssignmentStatus, CreateVirtualMfaDevice, DeleteVirtualMfaDevice, ListMfaDevices,
        ListVirtualMfaDevices, MfaDevice, NewVirtualMfaDevice, OwnMfaDevice, SerialNumber,
        TwoCodes, VirtualMfaDevice,
    },
};
use model::{Path, Secret, VirtualMfaDeviceName};
use qrcode::{Color, EcLevel, QrCode};

use crate::{
    ApiError,
    call::{Action, Call, listing, page, path},
    form::{Params, Violation},
    shape::{AUTHENTICATION_CODE, SERIAL_NUMBER, SERIAL_NUMBER_CHARS_MAX},
    tag,
    user::{self, USER_NAME_CHARS_MAX},
    xml::Xml,
};

/// What stands before the path in a serial number; accounts' ids are of one length.
const SERIAL_NUMBER_START: &str = "arn:aws:iam::123456789012:mfa";
/// The pixels along a module of a QR code, and the modules around it (ISO/IEC 18004: four).
const MODULE_PIXELS: usize = 4;
const QUIET_MODULES: usize = 4;

pub(crate) const ACTIONS: &[Action] = &[
    Action::new("CreateVirtualMFADevice", create),
    Action::new("EnableMFADevice", |p| {
        two_codes(p).map(Command::EnableMFADevice).map(Call::Command)
    }),
    Action::new("ResyncMFADevice", |p| {
        two_codes(p).map(Command::ResyncMFADevice).map(Call::Command)
    }),
    Action::new("DeactivateMFADevice", deactivate),
    Action::new("DeleteVirtualMFADevice", |mut params| {
        let serial = serial_number(&mut params);
        params.finish()?;
        let command = DeleteVirtualMfaDevice { serial: serial? };
        Ok(Call::Command(Command::DeleteVirtualMFADevice(command)))
    }),
    Action::new("GetMFADevice", get),
    Action::new("ListMFADevices", list),
    Action::new("ListVirtualMFADevices", list_virtual),
];

/// Reads the parameter `SerialNumber`.
pub(crate) fn serial_number(params: &mut Params<'_>) -> Result<SerialNumber, ApiError> {
    let serial = params.required_shape("SerialNumber", &SERIAL_NUMBER);
    Ok(serial.map(SerialNumber)?)
}

fn create(mut params: Params<'_>) -> Result<Call, ApiError> {
    let path = path::<Path>(&mut params, "Path");
    let name = params.required::<VirtualMfaDeviceName>("VirtualMFADeviceName");
    let tags = tag::read(&mut params);
    params.finish()?;
    let (path, name) = (path?, name?);
    let chars =
        [SERIAL_NUMBER_START, path.as_str(), name.as_str()].map(|text| text.chars().count());
    if chars.into_iter().sum::<usize>() > SERIAL_NUMBER_CHARS_MAX {
        return Err(ApiError::validation(format!(
            "The serial number, which Path and VirtualMFADeviceName are in, would have more than \
             {SERIAL_NUMBER_CHARS_MAX} characters."
        )));
    }
    let command = CreateVirtualMfaDevice { name, path, tags: tags? };
    Ok(Call::Command(Command::CreateVirtualMFADevice(command)))
}

fn two_codes(mut params: Params<'_>) -> Result<TwoCodes, ApiError> {
    let user = params.required("UserName");
    let serial = serial_number(&mut params);
    let mut code = |name| params.required_secret(name, &AUTHENTICATION_CODE);
    let codes = [code("AuthenticationCode1"), code("AuthenticationCode2")];
    params.finish()?;
    let [first, second] = codes;
    Ok(TwoCodes { user: user?, serial: serial?, codes: [first?, second?] })
}

fn deactivate(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let serial = serial_number(&mut params);
    params.finish()?;
    let command = OwnMfaDevice { user: user?, serial: serial? };
    Ok(Call::Command(Command::DeactivateMFADevice(command)))
}

fn get(mut params: Params<'_>) -> Result<Call, ApiError> {
    let serial = serial_number(&mut params);
    let user = params.optional_up_to("UserName", USER_NAME_CHARS_MAX);
    params.finish()?;
    let query = OwnMfaDevice { user: user?, serial: serial? };
    Ok(Call::Query(Query::GetMFADevice(query)))
}

fn list(mut params: Params<'_>) -> Result<Call, ApiError> {
    let user = params.optional("UserName");
    let page = page(&mut params);
    params.finish()?;
    let query = ListMfaDevices { user: user?, page: page? };
    Ok(Call::Query(Query::ListMFADevices(query)))
}

fn list_virtual(mut params: Params<'_>) -> Result<Call, ApiError> {
    let status: Result<Option<AssignmentStatus>, Violation> = params.optional("AssignmentStatus");
    let page = page(&mut params);
    params.finish()?;
    let query =
        ListVirtualMfaDevices { status: status?.unwrap_or(AssignmentStatus::Any), page: page? };
    Ok(Call::Query(Query::ListVirtualMFADevices(query)))
}

/// The answer to `CreateVirtualMFADevice`.
pub(crate) fn write_new(xml: &mut Xml, new: &NewVirtualMfaDevice) {
    let NewVirtualMfaDevice { serial, name, account, seed, tags } = new;
    let seed = Secret::new(BASE32_NOPAD.encode(seed.expose()));
    // AWS: the form of the text in `QRCodePNG`.
    let uri = Secret::new(format!("otpauth://totp/{name}@{account}?secret={}", seed.expose()));
    xml.element("VirtualMFADevice", |xml| {
        xml.text("SerialNumber", serial);
        xml.text("Base32StringSeed", STANDARD.encode(seed.expose()));
        xml.text("QRCodePNG", STANDARD.encode(qr_png(&uri)));
        tag::write_some(xml, tags);
    });
}

/// The picture of a text's QR code: black and white, as PNG.
fn qr_png(text: &Secret<String>) -> Vec<u8> {
    let code = QrCode::with_error_correction_level(text.expose(), EcLevel::M);
    let code = code.expect("a name, an alias and a seed are shorter than the 2331 bytes it takes");
    let modules = code.width() + 2 * QUIET_MODULES;
    let is_dark = |x: usize, y: usize| {
        let inside = |at: usize| at.checked_sub(QUIET_MODULES).filter(|at| *at < code.width());
        let (Some(x), Some(y)) = (inside(x), inside(y)) else { return false };
        code[(x, y)] == Color::Dark
    };
    let side = modules * MODULE_PIXELS;
    let mut rows = Vec::new();
    for y in 0..side {
        // A bit a pixel, white is one.
        rows.extend((0..side.div_ceil(8)).map(|byte| {
            let pixels = (byte * 8..byte * 8 + 8).map(|x| x / MODULE_PIXELS);
            pixels.fold(0, |bits, x| bits << 1 | u8::from(!is_dark(x, y / MODULE_PIXELS)))
        }));
    }
    let mut file = Vec::new();
    let side = u32::try_from(side).expect("a QR code has at most 177 modules");
    let mut encoder = png::Encoder::new(&mut file, side, side);
    encoder.set_color(png::ColorType::Grayscale);
    encoder.set_depth(png::BitDepth::One);
    let written = encoder.write_header().and_then(|mut writer| writer.write_image_data(&rows));
    written.expect("rows of that length, to memory");
    file
}

/// The answer to `GetMFADevice`.
pub(crate) fn write(xml: &mut Xml, MfaDevice { user, serial, enabled }: &MfaDevice) {
    xml.text("UserName", user);
    xml.text("SerialNumber", serial);
    xml.text("EnableDate", enabled);
}

/// The answer to `ListMFADevices`.
pub(crate) fn write_listed(xml: &mut Xml, devices: &Listing<MfaDevice>) {
    listing(xml, "MFADevices", devices, write);
}

/// The answer to `ListVirtualMFADevices`.
pub(crate) fn write_virtual(xml: &mut Xml, devices: &Listing<VirtualMfaDevice>) {
    listing(xml, "VirtualMFADevices", devices, |xml, device| {
        let VirtualMfaDevice { serial, user, enabled } = device;
        xml.text("SerialNumber", serial);
        if let Some(user) = user {
            user::write_listed_got(xml, user);
        }
        xml.optional("EnableDate", enabled.as_ref());
    });
}

#[cfg(test)]
mod tests {
    use expect_test::expect_file;
    use identity::{Reply, tag::Tag, user::GotUser};
    use model::Timestamp;

    use super::*;
    use crate::call::testing::{bob, check_calls, check_replies};

    const SERIAL: &str = "arn:aws:iam::123456789012:mfa/phone";

    #[test]
    fn calls_are_read() {
        let codes = "AuthenticationCode1=012345&AuthenticationCode2=678901";
        check_calls(
            &[
                "Action=CreateVirtualMFADevice&VirtualMFADeviceName=phone",
                "Action=CreateVirtualMFADevice&VirtualMFADeviceName=phone&Path=%2Fx%2F\
           &Tags.member.1.Key=a&Tags.member.1.Value=b",
                &format!("Action=EnableMFADevice&UserName=bob&SerialNumber={SERIAL}&{codes}"),
                &format!("Action=ResyncMFADevice&UserName=bob&SerialNumber={SERIAL}&{codes}"),
                &format!("Action=DeactivateMFADevice&UserName=bob&SerialNumber={SERIAL}"),
                &format!("Action=DeactivateMFADevice&SerialNumber={SERIAL}"),
                &format!("Action=DeleteVirtualMFADevice&SerialNumber={SERIAL}"),
                &format!("Action=GetMFADevice&SerialNumber={SERIAL}"),
                &format!("Action=GetMFADevice&SerialNumber={SERIAL}&UserName=bob"),
                "Action=ListMFADevices",
                "Action=ListMFADevices&UserName=bob&MaxItems=3",
                "Action=ListVirtualMFADevices",
                "Action=ListVirtualMFADevices&AssignmentStatus=Unassigned&MaxItems=3",
            ],
            expect_file!["../testdata/mfa_device-calls.txt"],
        );
    }

    #[test]
    fn what_fails_its_constraint_is_refused() {
        let long = "a".repeat(227);
        check_calls(
            &[
                "Action=CreateVirtualMFADevice",
                &format!("Action=CreateVirtualMFADevice&VirtualMFADeviceName={long}"),
                &format!("Action=CreateVirtualMFADevice&VirtualMFADeviceName=b&Path=%2F{long}%2F"),
                "Action=EnableMFADevice&SerialNumber=a%20phone&AuthenticationCode1=12345",
                &format!(
                    "Action=ResyncMFADevice&UserName=bob&SerialNumber={SERIAL}\
           &AuthenticationCode1=12345x&AuthenticationCode2=1234567"
                ),
                "Action=DeactivateMFADevice&UserName=bob",
                "Action=ListVirtualMFADevices&AssignmentStatus=Some",
            ],
            expect_file!["../testdata/mfa_device-refusals.txt"],
        );
    }

    #[test]
    fn replies_are_written() {
        let new = NewVirtualMfaDevice {
            serial: SERIAL.parse().unwrap(),
            name: "phone".parse().unwrap(),
            account: "123456789012".to_owned(),
            seed: Secret::new(vec![7; 40]),
            tags: vec![Tag { key: "team".parse().unwrap(), value: "a".parse().unwrap() }],
        };
        let device = MfaDevice {
            user: "bob".to_owned(),
            serial: SERIAL.parse().unwrap(),
            enabled: Timestamp::from_secs(1_700_000_000),
        };
        let root = GotUser::Root {
            arn: "arn:aws:iam::123456789012:root".parse().unwrap(),
            created: Timestamp::from_secs(1_700_000_000),
        };
        let shown = |user: Option<GotUser>| VirtualMfaDevice {
            serial: SERIAL.parse().unwrap(),
            enabled: user.is_some().then(|| Timestamp::from_secs(1_700_000_000)),
            user,
        };
        let all = vec![shown(None), shown(Some(GotUser::User(bob()))), shown(Some(root))];
        let devices = Listing { items: vec![device.clone()], next: None };
        check_replies(
            [
                ("CreateVirtualMFADevice", Reply::CreateVirtualMFADevice(new)),
                ("GetMFADevice", Reply::GetMFADevice(device)),
                ("ListMFADevices", Reply::ListMFADevices(devices)),
                (
                    "ListVirtualMFADevices",
                    Reply::ListVirtualMFADevices(Listing { items: all, next: None }),
                ),
            ],
            expect_file!["../testdata/mfa_device-replies.txt"],
        );
    }

    #[test]
    fn a_picture_has_a_quiet_zone_and_three_finder_patterns() {
        let file = qr_png(&Secret::new("otpauth://totp/a@b?secret=AAAA".to_owned()));
        let mut reader = png::Decoder::new(std::io::Cursor::new(file)).read_info().unwrap();
        let mut bits = vec![0; reader.output_buffer_size().unwrap()];
        let info = reader.next_frame(&mut bits).unwrap();
        assert_eq!(info.width, info.height);
        let side = info.width as usize / MODULE_PIXELS;
        let dark = |x: usize, y: usize| {
            let (x, y) = (x * MODULE_PIXELS, y * MODULE_PIXELS);
            bits.get(y * info.line_size + x / 8).unwrap() >> (7 - x % 8) & 1 == 0
        };
        for at in 0..side {
            assert!(!dark(at, 3) && !dark(3, at) && !dark(at, side - 1) && !dark(side - 1, at));
        }
        // The outer ring of a finder pattern is dark, the one in it light, the middle dark.
        for (x, y) in [(4, 4), (side - 11, 4), (4, side - 11)] {
            let row: Vec<bool> = (0..7).map(|at| dark(x + at, y + 3)).collect();
            assert_eq!(row, [true, false, true, true, true, false, true]);
        }
    }
}

//! Signing certificates of users and of the root user.

use expect_test::expect;

use crate::history::check_history;

#[test]
fn a_certificate_is_uploaded_once_and_leaves_before_its_user() {
    check_history(
        "quiet root CreateUser bob
        quiet root CreateUser ann
        root UploadSigningCertificate none certificate-1.pem
        root UploadSigningCertificate bob certificate-past.pem
        root UploadSigningCertificate bob ssh-1.pem
        quiet root UploadSigningCertificate bob certificate-1.pem
        root UploadSigningCertificate bob certificate-1.pem
        root UploadSigningCertificate ann certificate-1.pem
        root UploadSigningCertificate - certificate-1.pem
        quiet root UploadSigningCertificate bob certificate-2.pem
        root UploadSigningCertificate bob certificate-3.pem
        root UpdateSigningCertificate ann key1 Inactive
        root UpdateSigningCertificate bob key1 Inactive
        root DeleteUser bob
        root DeleteSigningCertificate bob key1
        root DeleteSigningCertificate bob key1
        quiet root UploadSigningCertificate ann certificate-1.pem
        root DeleteSigningCertificate bob key2
        root DeleteUser bob",
        expect![[r#"
            root UploadSigningCertificate none certificate-1.pem
                NoSuchEntity { noun: User, name: "none" }
            root UploadSigningCertificate bob certificate-past.pem
                Key(InvalidCertificate)
            root UploadSigningCertificate bob ssh-1.pem
                Key(MalformedCertificate)
            root UploadSigningCertificate bob certificate-1.pem
                Key(DuplicateCertificate)
            root UploadSigningCertificate ann certificate-1.pem
                Key(DuplicateCertificate)
            root UploadSigningCertificate - certificate-1.pem
                Key(DuplicateCertificate)
            root UploadSigningCertificate bob certificate-3.pem
                LimitExceeded { quota: SigningCertificatesPerUser }
            root UpdateSigningCertificate ann key1 Inactive
                NoSuchEntity { noun: SigningCertificate, name: "34PW7RTUIM7AMPNOP3WG5OLOQ6K25HRR" }
            root UpdateSigningCertificate bob key1 Inactive
                done
            root DeleteUser bob
                DeleteConflict { obstacle: SigningCertificates }
            root DeleteSigningCertificate bob key1
                done
            root DeleteSigningCertificate bob key1
                NoSuchEntity { noun: SigningCertificate, name: "34PW7RTUIM7AMPNOP3WG5OLOQ6K25HRR" }
            root DeleteSigningCertificate bob key2
                done
            root DeleteUser bob
                done
        "#]],
    );
}

#[test]
fn the_root_user_has_certificates_of_its_own() {
    check_history(
        "root ListSigningCertificates
        quiet root UploadSigningCertificate - certificate-3.pem
        root UpdateSigningCertificate - key1 Inactive
        root ListSigningCertificates
        root@222222222222 ListSigningCertificates
        root@222222222222 DeleteSigningCertificate - key1
        root DeleteSigningCertificate - key1
        root ListSigningCertificates",
        expect![[r#"
            root ListSigningCertificates
                ListSigningCertificates(Listing { items: [], next: None })
            root UpdateSigningCertificate - key1 Inactive
                done
            root ListSigningCertificates
                ListSigningCertificates(Listing { items: [SigningCertificate { user: None, id: "V7C6ESJ4BQQ7GZUHJDMBQPKP77ZMENOF", body: "-----BEGIN CERTIFICATE-----\nMIIBMjCB2AIBEjAKBggqhkjOPQQDAjAkMSIwIAYDVQQDDBljZXJ0aWZpY2F0ZS0z\nLmV4YW1wbGUuY29tMCAXDTIwMDEwMTAwMDAwMFoYDzIxMjAwMTAxMDAwMDAwWjAk\nMSIwIAYDVQQDDBljZXJ0aWZpY2F0ZS0zLmV4YW1wbGUuY29tMFkwEwYHKoZIzj0C\nAQYIKoZIzj0DAQcDQgAEOBStTtGOtUw6POCDkY2XnNXRY16zGfC3uyZH3/EZ4L8k\n0Npiv/6BbKgWHlIyatv5SWlE6a4AJ9o8Tw4ykIvIdDAKBggqhkjOPQQDAgNJADBG\nAiEAz4Co0xMBajYVVyAhgTXFphaD1Sz8aLpmlno8gD/LZZoCIQCFBvrXQ1TZQpU6\n5Ee6ktUdiClRfbnJGv52aM2J0CAijA==\n-----END CERTIFICATE-----", status: Inactive, uploaded: T }], next: None })
            root@222222222222 ListSigningCertificates
                ListSigningCertificates(Listing { items: [], next: None })
            root@222222222222 DeleteSigningCertificate - key1
                NoSuchEntity { noun: SigningCertificate, name: "V7C6ESJ4BQQ7GZUHJDMBQPKP77ZMENOF" }
            root DeleteSigningCertificate - key1
                done
            root ListSigningCertificates
                ListSigningCertificates(Listing { items: [], next: None })
        "#]],
    );
}

#[test]
fn roots_certificate_that_is_switched_and_deleted_at_once_is_settled() {
    check_history(
        "quiet root UploadSigningCertificate - certificate-3.pem
        sync
        quiet a: root UpdateSigningCertificate - key1 Inactive
        quiet b: root UpdateSigningCertificate - key1 Active
        sync
        conflicts
        root Resolve credential_status 1
        sync
        quiet a: root UpdateSigningCertificate - key1 Active
        quiet b: root DeleteSigningCertificate - key1
        sync
        conflicts
        root Resolve signing_certificate remove
        conflicts",
        expect![[r#"
            conflicts
                credential_status: account 123456789012, status of FDZ4SFKTQVDI5YMWQBXGWR6JZSWZAREV
                  node 1, 123456789012:root, UpdateSigningCertificate: Inactive
                  node 2, 123456789012:root, UpdateSigningCertificate: Active
                  withheld: it does not authenticate
                  1: iam:UpdateSigningCertificate
                  2: iam:UpdateSigningCertificate
                  remove: iam:DeleteSigningCertificate
            root Resolve credential_status 1
                done
            conflicts
                signing_certificate: account 123456789012, signing certificate FDZ4SFKTQVDI5YMWQBXGWR6JZSWZAREV
                  node 1, 123456789012:root, UpdateSigningCertificate: uploaded at T
                  node 2, 123456789012:root, DeleteSigningCertificate: removed
                  withheld: it does not authenticate
                  remove: iam:DeleteSigningCertificate
                credential_status: account 123456789012, status of FDZ4SFKTQVDI5YMWQBXGWR6JZSWZAREV
                  node 1, 123456789012:root, UpdateSigningCertificate: Active
                  node 2, 123456789012:root, DeleteSigningCertificate: removed
                  withheld: it does not authenticate
                  1: iam:UpdateSigningCertificate
                  remove: iam:DeleteSigningCertificate
            root Resolve signing_certificate remove
                done
            conflicts
                none
        "#]],
    );
}

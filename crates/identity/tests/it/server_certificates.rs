//! Server certificates of an account.

use expect_test::expect;

use crate::history::{History, check_history};

#[test]
fn a_certificate_comes_with_its_key_and_goes_by_its_name() {
    check_history(
        "root UploadServerCertificate web ssh-1.pem certificate-1.key
        root UploadServerCertificate web certificate-1.pem certificate-1.pem
        root UploadServerCertificate web certificate-1.pem certificate-1.encrypted.key
        root UploadServerCertificate web certificate-1.pem certificate-2.key
        root UploadServerCertificate web certificate-3.pem certificate-1.key
        root UploadServerCertificate web certificate-past.pem certificate-past.key
        root UploadServerCertificate web issued.pem issued.key issued.turned.pem
        root UploadServerCertificate web issued.pem issued.key ssh-1.pem
        quiet root UploadServerCertificate web issued.pem issued.key issued.chain.pem team=a
        root UploadServerCertificate WEB certificate-1.pem certificate-1.key
        root UpdateServerCertificate web site /x/
        root GetServerCertificate web
        root ListServerCertificateTags site
        root TagServerCertificate site cost=b
        root UntagServerCertificate site team
        root ListServerCertificateTags site
        root DeleteServerCertificate site
        root DeleteServerCertificate site",
        expect![[r#"
            root UploadServerCertificate web ssh-1.pem certificate-1.key
                Key(MalformedCertificate)
            root UploadServerCertificate web certificate-1.pem certificate-1.pem
                Key(MalformedPrivateKey)
            root UploadServerCertificate web certificate-1.pem certificate-1.encrypted.key
                Key(MalformedPrivateKey)
            root UploadServerCertificate web certificate-1.pem certificate-2.key
                Key(KeyPairMismatch)
            root UploadServerCertificate web certificate-3.pem certificate-1.key
                Key(KeyPairMismatch)
            root UploadServerCertificate web certificate-past.pem certificate-past.key
                Key(OutdatedCertificate)
            root UploadServerCertificate web issued.pem issued.key issued.turned.pem
                Key(MalformedChain)
            root UploadServerCertificate web issued.pem issued.key ssh-1.pem
                Key(MalformedChain)
            root UploadServerCertificate WEB certificate-1.pem certificate-1.key
                EntityAlreadyExists { noun: ServerCertificate, name: "WEB" }
            root UpdateServerCertificate web site /x/
                done
            root GetServerCertificate web
                NoSuchEntity { noun: ServerCertificate, name: "web" }
            root ListServerCertificateTags site
                ListServerCertificateTags(Listing { items: [Tag { key: TagKey("team"), value: TagValue("a") }], next: None })
            root TagServerCertificate site cost=b
                done
            root UntagServerCertificate site team
                done
            root ListServerCertificateTags site
                ListServerCertificateTags(Listing { items: [Tag { key: TagKey("cost"), value: TagValue("b") }], next: None })
            root DeleteServerCertificate site
                done
            root DeleteServerCertificate site
                NoSuchEntity { noun: ServerCertificate, name: "site" }
        "#]],
    );
}

#[test]
fn listings_follow_paths_and_a_key_shows_nowhere() {
    let mut history = History::new();
    let said = history.run(
        "root UploadServerCertificate rsa certificate-1.pem certificate-1.pkcs1.key
        root UploadServerCertificate ec certificate-3.pem certificate-3.sec1.key
        root UpdateServerCertificate ec ec /x/
        root GetServerCertificate rsa",
    );
    assert!(!said.contains("PRIVATE KEY"), "{said}");
    let listed = history.run("root ListServerCertificates /x/");
    assert_eq!(listed.matches("ServerCertificate {").count(), 1, "{listed}");
    let listed = history.run("root ListServerCertificates");
    assert_eq!(listed.matches("ServerCertificate {").count(), 2, "{listed}");
}

#[test]
fn policies_may_name_certificates_and_ask_for_tags() {
    check_history(
        r#"quiet root CreateUser bob
        quiet root UploadServerCertificate web certificate-1.pem certificate-1.key - team=a
        quiet root PutUserPolicy bob in {"Version":"2012-10-17","Statement":{"Effect":"Allow","Action":"iam:*ServerCertificate*","Resource":"arn:aws:iam::123456789012:server-certificate/*","Condition":{"StringEqualsIfExists":{"aws:ResourceTag/team":"b"}}}}
        bob DeleteServerCertificate web
        bob UploadServerCertificate site certificate-2.pem certificate-2.key
        quiet root TagServerCertificate web team=b
        bob DeleteServerCertificate web
        bob ListServerCertificates"#,
        expect![[r#"
            bob DeleteServerCertificate web
                AccessDenied { message: "User: arn:aws:iam::123456789012:user/bob is not authorized to perform: iam:DeleteServerCertificate on resource: arn:aws:iam::123456789012:server-certificate/web because no identity-based policy allows the iam:DeleteServerCertificate action" }
            bob UploadServerCertificate site certificate-2.pem certificate-2.key
                UploadServerCertificate(ServerCertificate { id: ASCA…, name: ServerCertificateName("site"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:server-certificate/site", colons: [3, 7, 11, 12, 25] }, uploaded: T, expires: T, body: "-----BEGIN CERTIFICATE-----\nMIICvjCCAaYCAREwDQYJKoZIhvcNAQELBQAwJDEiMCAGA1UEAwwZY2VydGlmaWNh\ndGUtMi5leGFtcGxlLmNvbTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAw\nMFowJDEiMCAGA1UEAwwZY2VydGlmaWNhdGUtMi5leGFtcGxlLmNvbTCCASIwDQYJ\nKoZIhvcNAQEBBQADggEPADCCAQoCggEBAMvhmdFmDmX8RDm8ORnPXaKJQ5UPcezn\nA1Bpw58J6i3ZCda07QzAUB1QjWpmxg3dOBX01tLcaQQofzEYWPWzb69Qq6XRhXjo\nA4JVb0QyJ3wjz680oAg6m/htTLaI5Ib78NNHaBMIgi/juCalKjkbGjF8H+FCnZS6\nOGz9U21GPT36jUlpq1mr0TZlgYqF8eFg4GE+xcgX+HC3xjkywlfTDPU48RwniN4W\nXpRjHRTSLtT4s9EdEF6+JCGq+/BvfDXX8bx1I09r6maX7Ncrg4bRh4S//hHrJ3iO\n2wWusTL4CYLNJC6hKItrpgrIL5Dz4bYR4GzEok7LLfez5Z5Sh1W12AkCAwEAATAN\nBgkqhkiG9w0BAQsFAAOCAQEAfFBhbBlCqlx1uAMshEoOu+cBNSJYzrv4OvB8ACm2\n24kKv9d2Vt0mHzou8xOe/fQxdwyA/IlCvDRRixdkcmLpX4inM4g+QE+Rc69Sz3OJ\ngyMQK+Q7lpOUf3D+V+jZnDwxzeWQ80pxwefPUL7BKeZu08W1fcSbwzFos4B5Zzdg\ny4GL1xWtbC+LOGr5M/ZiAuHp8FpXOyyatYFC0Dn0zkuqINZ3ZWk8ghUMLV6LB2xt\nif8Gto6E1aAnMdJNsFbx/hcDdq9DZ7bcl0j/ct8v4fL+ssLtr5tKup8m2zl7IZkY\n46nJNoBDRUqX6cTOUzqvvAtmSv6mfN5Vb6bFxcegn5RgEw==\n-----END CERTIFICATE-----", chain: None, tags: [] })
            bob DeleteServerCertificate web
                done
            bob ListServerCertificates
                ListServerCertificates(Listing { items: [ServerCertificate { id: ASCA…, name: ServerCertificateName("site"), path: Path("/"), arn: Arn { text: "arn:aws:iam::123456789012:server-certificate/site", colons: [3, 7, 11, 12, 25] }, uploaded: T, expires: T, body: "-----BEGIN CERTIFICATE-----\nMIICvjCCAaYCAREwDQYJKoZIhvcNAQELBQAwJDEiMCAGA1UEAwwZY2VydGlmaWNh\ndGUtMi5leGFtcGxlLmNvbTAgFw0yMDAxMDEwMDAwMDBaGA8yMTIwMDEwMTAwMDAw\nMFowJDEiMCAGA1UEAwwZY2VydGlmaWNhdGUtMi5leGFtcGxlLmNvbTCCASIwDQYJ\nKoZIhvcNAQEBBQADggEPADCCAQoCggEBAMvhmdFmDmX8RDm8ORnPXaKJQ5UPcezn\nA1Bpw58J6i3ZCda07QzAUB1QjWpmxg3dOBX01tLcaQQofzEYWPWzb69Qq6XRhXjo\nA4JVb0QyJ3wjz680oAg6m/htTLaI5Ib78NNHaBMIgi/juCalKjkbGjF8H+FCnZS6\nOGz9U21GPT36jUlpq1mr0TZlgYqF8eFg4GE+xcgX+HC3xjkywlfTDPU48RwniN4W\nXpRjHRTSLtT4s9EdEF6+JCGq+/BvfDXX8bx1I09r6maX7Ncrg4bRh4S//hHrJ3iO\n2wWusTL4CYLNJC6hKItrpgrIL5Dz4bYR4GzEok7LLfez5Z5Sh1W12AkCAwEAATAN\nBgkqhkiG9w0BAQsFAAOCAQEAfFBhbBlCqlx1uAMshEoOu+cBNSJYzrv4OvB8ACm2\n24kKv9d2Vt0mHzou8xOe/fQxdwyA/IlCvDRRixdkcmLpX4inM4g+QE+Rc69Sz3OJ\ngyMQK+Q7lpOUf3D+V+jZnDwxzeWQ80pxwefPUL7BKeZu08W1fcSbwzFos4B5Zzdg\ny4GL1xWtbC+LOGr5M/ZiAuHp8FpXOyyatYFC0Dn0zkuqINZ3ZWk8ghUMLV6LB2xt\nif8Gto6E1aAnMdJNsFbx/hcDdq9DZ7bcl0j/ct8v4fL+ssLtr5tKup8m2zl7IZkY\n46nJNoBDRUqX6cTOUzqvvAtmSv6mfN5Vb6bFxcegn5RgEw==\n-----END CERTIFICATE-----", chain: None, tags: [] }], next: None })
        "#]],
    );
}

#[test]
fn one_that_was_used_and_deleted_at_once_can_only_be_deleted() {
    check_history(
        "quiet root UploadServerCertificate web certificate-1.pem certificate-1.key
        sync
        quiet a: root TagServerCertificate web team=a
        quiet b: root DeleteServerCertificate web
        sync
        conflicts
        root GetServerCertificate web
        root TagServerCertificate web team=b
        root UploadServerCertificate web certificate-1.pem certificate-1.key
        root Resolve existence remove
        conflicts
        quiet root UploadServerCertificate web certificate-1.pem certificate-1.key",
        expect![[r#"
            conflicts
                existence: server certificate web, whether it exists
                  node 1, 123456789012:root, TagServerCertificate: made at T
                  node 2, 123456789012:root, DeleteServerCertificate: removed
                  withheld: what it allows; what it denies counts
                  remove: iam:DeleteServerCertificate
            root GetServerCertificate web
                ConcurrentModification { noun: ServerCertificate, name: "web" }
            root TagServerCertificate web team=b
                ConcurrentModification { noun: ServerCertificate, name: "web" }
            root UploadServerCertificate web certificate-1.pem certificate-1.key
                EntityAlreadyExists { noun: ServerCertificate, name: "web" }
            root Resolve existence remove
                done
            conflicts
                none
        "#]],
    );
}

#[test]
fn two_of_one_name_are_rivals_until_one_is_renamed() {
    check_history(
        "quiet a: root UploadServerCertificate web certificate-1.pem certificate-1.key
        quiet b: root UploadServerCertificate web certificate-2.pem certificate-2.key
        sync
        conflicts
        root TagServerCertificate web a=b
        root UpdateServerCertificate web site
        conflicts",
        expect![[r#"
            conflicts
                rivals: server certificate web, the name `web`
                  node 1, 123456789012:root, UploadServerCertificate: arn:aws:iam::123456789012:server-certificate/web ID
                  node 2, 123456789012:root, UploadServerCertificate: arn:aws:iam::123456789012:server-certificate/web ID
                  withheld: what they allow, and giving them anything; what they deny counts
                  by a call: iam:UpdateServerCertificate iam:DeleteServerCertificate
            root TagServerCertificate web a=b
                ConcurrentModification { noun: ServerCertificate, name: "web" }
            root UpdateServerCertificate web site
                done
            conflicts
                none
        "#]],
    );
}

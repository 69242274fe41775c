//! A certificate authority and a server certificate for 127.0.0.1 and localhost.

use std::path::{Path, PathBuf};

use crate::program;
use crate::supervisor::Supervisor;

/// PEM files in the server's folder.
pub(crate) struct Certificates {
    /// The certificate of the authority, which clients have to trust.
    pub(crate) ca: PathBuf,
    /// The server's certificate.
    pub(crate) certificate: PathBuf,
    /// The server's key, which only the server's user can read.
    pub(crate) key: PathBuf,
}

impl Certificates {
    /// The file names, which are known before the files exist.
    pub(crate) fn within(folder: &Path) -> Self {
        let file = |name| folder.join(name);
        Self { ca: file("ca.pem"), certificate: file("server.pem"), key: file("server.key") }
    }

    /// Makes them with the command line of OpenSSL.
    pub(crate) fn make(supervisor: &Supervisor) -> Result<(), String> {
        let openssl = program::need(&["openssl"], &[])?;
        // All that the system's openssl.cnf would say differs between systems.
        supervisor.write(
            "openssl.cnf",
            "[req]\ndistinguished_name = name\nprompt = no\n\
             [name]\nCN = taskloom-testkit\n\
             [ca]\nbasicConstraints = critical, CA:TRUE\nkeyUsage = critical, keyCertSign, cRLSign\n\
             subjectKeyIdentifier = hash\n\
             [server]\nbasicConstraints = critical, CA:FALSE\nkeyUsage = critical, digitalSignature\n\
             extendedKeyUsage = serverAuth\nsubjectAltName = IP:127.0.0.1, DNS:localhost\n\
             subjectKeyIdentifier = hash\nauthorityKeyIdentifier = keyid\n",
        )?;
        let openssl = |arguments: &str| {
            supervisor.prepare(&openssl, &arguments.split_whitespace().collect::<Vec<_>>()).map(drop)
        };
        let new_key = "-newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -config openssl.cnf";
        openssl(&format!(
            "req -x509 {new_key} -extensions ca -subj /CN=taskloom-testkit-ca -days 30 -keyout ca.key -out ca.pem"
        ))?;
        openssl(&format!("req -new {new_key} -subj /CN=localhost -keyout server.key -out server.csr"))?;
        openssl(
            "x509 -req -in server.csr -CA ca.pem -CAkey ca.key -CAcreateserial -days 30 -extfile openssl.cnf \
             -extensions server -out server.pem",
        )
    }
}

"""A fleet on loopback: real certificates, real TLS listeners, devices with real trust stores."""

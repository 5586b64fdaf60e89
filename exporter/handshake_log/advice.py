"""The settings that make each terminator tell who was refused; the same as in docs/logging.md."""

from collections.abc import Mapping

# nginx and httpd: docs/logging.md explains each field; a test holds both texts together
NGINX_ERROR_LOG = "error_log /var/log/nginx/error.log info;\n"

NGINX_STREAM_FORMAT = """\
log_format fleet_tls '$remote_addr [$time_local] $ssl_protocol $ssl_cipher resumed=$ssl_session_reused '
                     'status=$status sni="$ssl_server_name" client="$ssl_client_s_dn" '
                     'client_end="$ssl_client_v_end" took=$session_time';
access_log /var/log/nginx/tls.log fleet_tls;
"""  # noqa: E501 - as it is to be pasted

NGINX_HTTP_FORMAT = """\
log_format fleet_tls '$remote_addr [$time_local] $ssl_protocol $ssl_cipher resumed=$ssl_session_reused '
                     'status=$status sni="$ssl_server_name" client="$ssl_client_s_dn" '
                     'client_end="$ssl_client_v_end" took=$connection_time '
                     'verify="$ssl_client_verify" requests=$connection_requests';
access_log /var/log/nginx/tls.log fleet_tls;
"""  # noqa: E501 - as it is to be pasted

HAPROXY_FORMATS = """\
error-log-format "%ci:%cp [%t] %ft fleet_tls err={%[fc_err_str]} ssl_err=%[ssl_fc_err,hex] ssl_err_str={%[ssl_fc_err_str]} c_err=%[ssl_c_err] ca_err=%[ssl_c_ca_err] resumed=%[ssl_fc_is_resumed]"
log-format "%ci:%cp [%t] %ft fleet_tls resumed=%[ssl_fc_is_resumed] version=%sslv cipher=%sslc at=%Ts sni=%{+Q}[ssl_fc_sni] subject=%{+Q,+E}[ssl_c_s_dn] client_end=%[ssl_c_notafter]"
"""  # noqa: E501 - as it is to be pasted

APACHE_LOG_LEVEL = "LogLevel warn ssl:debug\n"

MOSQUITTO_LOG_TYPES = """\
log_type error
log_type warning
log_type notice
log_type information
connection_messages true
"""

STUNNEL_DEBUG_LEVEL = "debug = info\n"

SNIPPETS: Mapping[str, str] = {
    "nginx error log": NGINX_ERROR_LOG,
    "nginx stream format": NGINX_STREAM_FORMAT,
    "nginx http format": NGINX_HTTP_FORMAT,
    "haproxy formats": HAPROXY_FORMATS,
    "apache log level": APACHE_LOG_LEVEL,
    "mosquitto log types": MOSQUITTO_LOG_TYPES,
    "stunnel debug level": STUNNEL_DEBUG_LEVEL,
}
"""By the name that docs/logging.md gives them."""

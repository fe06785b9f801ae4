"""Writes sigv4.json: requests signed by botocore, which the tests verify and sign again.

Usage: python3 make_sigv4.py > sigv4.json
"""

import datetime
import json
from unittest import mock
from urllib.parse import urlencode, urlsplit

import botocore.auth
from botocore.awsrequest import AWSRequest
from botocore.credentials import Credentials

NOW = datetime.datetime(2026, 1, 1, 0, 5, 9)
KEY = "AKIAIOSFODNN7EXAMPLE"
SECRET = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
FORM = {"Content-Type": "application/x-www-form-urlencoded; charset=utf-8"}
LIST = urlencode({"Action": "ListUsers", "Version": "2010-05-08"})


def case(name, url="http://127.0.0.1:8080/", body=LIST, region="us-east-1", service="iam",
         token=None, headers=None, method="POST", params=None):
    request = AWSRequest(method=method, url=url, headers={**FORM, **(headers or {})},
                         data=body.encode(), params=params)
    credentials = Credentials(KEY, SECRET, token)
    with mock.patch("botocore.auth.get_current_datetime", return_value=NOW):
        botocore.auth.SigV4Auth(credentials, service, region).add_auth(request)
    url = urlsplit(request.prepare().url)
    signed = [[name.lower(), value] for name, value in request.headers.items()]
    signed.append(["host", url.netloc])
    return {"name": name, "method": method, "path": url.path, "query": url.query, "body": body,
            "region": region, "service": service, "token": token, "headers": signed}


CASES = [
    case("plain"),
    case("sts in another region", service="sts", region="eu-central-1",
         body=urlencode({"Action": "GetCallerIdentity", "Version": "2011-06-15"})),
    case("session token", token="IQoJb3JpZ2luX2VjEA//+=="),
    case("empty region", region=""),
    case("path prefix", url="http://127.0.0.1:8080/~all/"),
    case("path prefix with a name", url="http://127.0.0.1:8080/~region:eu-west-1/"),
    case("escaped path", url="http://127.0.0.1:8080/a%20b/%C3%BC/%2F"),
    case("path with dots and empty segments", url="http://127.0.0.1:8080//a/./b/../c//d/"),
    case("path that climbs out", url="http://127.0.0.1:8080/../.."),
    case("query", url="http://127.0.0.1:8080/?b=2&a=1&a=0&c=&A=x"),
    case("query with escapes", params={"x y": "ü/&=+~", "k": "*'()"}),
    case("unicode body", body=urlencode({"Action": "TagUser", "Key": "Größe 日本 🦀"})),
    case("raw unicode body", body="UserName=ü"),
    case("empty body", body=""),
    case("inner and outer spaces", headers={"X-Amz-Meta": "  a   b\tc  ", "X-Other": " "}),
    case("date header", headers={"Date": "x"}),
    case("unsigned agent", headers={"User-Agent": "aws-cli", "X-Amzn-Trace-Id": "Root=1"}),
    case("get", method="GET", body=""),
    case("own api", service="writ", url="http://node-1/writ.v1.Admin/Wait"),
]

print(json.dumps(CASES, indent=1, ensure_ascii=True))

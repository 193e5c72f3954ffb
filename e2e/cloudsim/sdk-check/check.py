"""The Python SDKs of Alibaba Cloud against cloudsim: check.py python-rpc|python-tea HOST:PORT.

sdk-check starts it. It ends with an error when one of them notices a difference."""

import json
import sys
import time

REGION, VSWITCH, GROUP, INSTANCE = "cn-hangzhou", "vsw-pod-h", "sg-web", "i-node1"
ROLE = "acs:ram::1234567890123456:role/lab-role"
LAB = ("lab-ak", "lab-sk", None)
# Text that has to survive every encoding on its way.
AWKWARD = "a b+c/ü~*'()!&=%25 \"中\""


class Refused(Exception):
    """An error answer: code and HTTP status."""


class Rpc:
    """The older SDK: parameters in the query string, HMAC-SHA1."""

    def __init__(self, address, keys):
        from aliyunsdkcore.auth.credentials import AccessKeyCredential, StsTokenCredential
        from aliyunsdkcore.client import AcsClient

        key_id, secret, token = keys
        credential = StsTokenCredential(key_id, secret, token) if token else AccessKeyCredential(key_id, secret)
        self.client = AcsClient(region_id=REGION, credential=credential)
        self.address = address

    def call(self, action, parameters, version="2014-05-26"):
        from aliyunsdkcore.acs_exception.exceptions import ServerException
        from aliyunsdkcore.request import CommonRequest

        request = CommonRequest(domain=self.address, version=version, action_name=action)
        request.set_method("POST")
        request.set_protocol_type("http")
        request.set_accept_format("JSON")
        for name, value in flatten(parameters):
            request.add_query_param(name, value)
        try:
            return json.loads(self.client.do_action_with_exception(request))
        except ServerException as failure:
            raise Refused(failure.get_error_code(), failure.get_http_status()) from failure

    def create(self, vswitch, token, text):
        answer = self.call("CreateNetworkInterface", {
            "VSwitchId": vswitch, "ClientToken": token, "Description": text, "SecurityGroupIds": [GROUP],
            "Tag": [{"Key": "text", "Value": text}, {"Key": "creator", "Value": "sdk-check"}],
        })
        return answer["NetworkInterfaceId"]

    def find(self, tag):
        answer = self.call("DescribeNetworkInterfaces", {"MaxResults": 100, "Tag": [{"Key": "text", "Value": tag}]})
        return [
            (each["NetworkInterfaceId"], each["Status"], each["Description"])
            for each in answer["NetworkInterfaceSets"]["NetworkInterfaceSet"]
        ]

    def attach(self, eni):
        self.call("AttachNetworkInterface", {"NetworkInterfaceId": eni, "InstanceId": INSTANCE})

    def detach(self, eni):
        self.call("DetachNetworkInterface", {"NetworkInterfaceId": eni, "InstanceId": INSTANCE})

    def remove(self, eni):
        self.call("DeleteNetworkInterface", {"NetworkInterfaceId": eni})

    def available(self, vswitches):
        answer = self.call("DescribeVSwitches", {"VSwitchId": vswitches}, version="2016-04-28")
        return {each["VSwitchId"]: each["AvailableIpAddressCount"] for each in answer["VSwitches"]["VSwitch"]}

    def assume(self, role):
        made = self.call("AssumeRole", {"RoleArn": role, "RoleSessionName": "sdk-check"}, version="2015-04-01")
        made = made["Credentials"]
        return made["AccessKeyId"], made["AccessKeySecret"], made["SecurityToken"]


class Tea:
    """The newer SDK: typed clients for ECS and VPC, ACS3-HMAC-SHA256."""

    def __init__(self, address, keys):
        from alibabacloud_ecs20140526.client import Client as Ecs
        from alibabacloud_tea_openapi.client import Client as Generic
        from alibabacloud_tea_openapi.models import Config
        from alibabacloud_vpc20160428.client import Client as Vpc

        key_id, secret, token = keys

        def config():
            return Config(
                access_key_id=key_id, access_key_secret=secret, security_token=token,
                endpoint=address, protocol="HTTP", region_id=REGION,
            )

        self.ecs, self.vpc, self.generic = Ecs(config()), Vpc(config()), Generic(config())

    @staticmethod
    def told(act):
        try:
            return act().body
        except Exception as failure:
            code, status = getattr(failure, "code", None), getattr(failure, "status_code", None)
            if code is None:
                raise
            status = status or (getattr(failure, "data", None) or {}).get("statusCode")
            raise Refused(code, status) from failure

    def create(self, vswitch, token, text):
        from alibabacloud_ecs20140526 import models

        request = models.CreateNetworkInterfaceRequest(
            region_id=REGION, v_switch_id=vswitch, client_token=token, description=text, security_group_ids=[GROUP],
            tag=[
                models.CreateNetworkInterfaceRequestTag(key="text", value=text),
                models.CreateNetworkInterfaceRequestTag(key="creator", value="sdk-check"),
            ],
        )
        return self.told(lambda: self.ecs.create_network_interface(request)).network_interface_id

    def find(self, tag):
        from alibabacloud_ecs20140526 import models

        request = models.DescribeNetworkInterfacesRequest(
            region_id=REGION, max_results=100,
            tag=[models.DescribeNetworkInterfacesRequestTag(key="text", value=tag)],
        )
        sets = self.told(lambda: self.ecs.describe_network_interfaces(request)).network_interface_sets
        return [(each.network_interface_id, each.status, each.description) for each in sets.network_interface_set]

    def attach(self, eni):
        from alibabacloud_ecs20140526 import models

        request = models.AttachNetworkInterfaceRequest(region_id=REGION, network_interface_id=eni, instance_id=INSTANCE)
        self.told(lambda: self.ecs.attach_network_interface(request))

    def detach(self, eni):
        from alibabacloud_ecs20140526 import models

        request = models.DetachNetworkInterfaceRequest(region_id=REGION, network_interface_id=eni, instance_id=INSTANCE)
        self.told(lambda: self.ecs.detach_network_interface(request))

    def remove(self, eni):
        from alibabacloud_ecs20140526 import models

        request = models.DeleteNetworkInterfaceRequest(region_id=REGION, network_interface_id=eni)
        self.told(lambda: self.ecs.delete_network_interface(request))

    def available(self, vswitches):
        from alibabacloud_vpc20160428 import models

        request = models.DescribeVSwitchesRequest(region_id=REGION, v_switch_id=vswitches)
        found = self.told(lambda: self.vpc.describe_vswitches(request)).v_switches.v_switch
        return {each.v_switch_id: each.available_ip_address_count for each in found}

    def assume(self, role):
        from alibabacloud_tea_openapi import models
        from alibabacloud_tea_util.models import RuntimeOptions

        action = models.Params(
            action="AssumeRole", version="2015-04-01", protocol="HTTP", pathname="/", method="POST",
            auth_type="AK", style="RPC", req_body_type="json", body_type="json",
        )
        request = models.OpenApiRequest(query={"RoleArn": role, "RoleSessionName": "sdk-check"})
        made = self.generic.call_api(action, request, RuntimeOptions())["body"]["Credentials"]
        return made["AccessKeyId"], made["AccessKeySecret"], made["SecurityToken"]


def flatten(parameters):
    """Pairs of the query: lists as Name.1, maps in them as Name.1.Key."""
    for name, value in parameters.items():
        if isinstance(value, list):
            for index, item in enumerate(value, 1):
                if isinstance(item, dict):
                    yield from ((f"{name}.{index}.{field}", text) for field, text in item.items())
                else:
                    yield f"{name}.{index}", item
        elif value is not None:
            yield name, value


def life(sdk, name):
    """Takes an ENI from its creation to its end."""
    free = sdk.available("vsw-pod-h,vsw-db-h")
    assert len(free) == 2 and free[VSWITCH] > 0, free
    eni = sdk.create(VSWITCH, "token-" + name, AWKWARD)
    assert sdk.create(VSWITCH, "token-" + name, AWKWARD) == eni, "the token made a second ENI"
    assert sdk.find(AWKWARD) == [(eni, "Available", AWKWARD)], sdk.find(AWKWARD)
    for act, then in ((sdk.attach, "InUse"), (sdk.detach, "Available"), (sdk.remove, None)):
        act(eni)
        deadline = time.monotonic() + 10
        while [status for _, status, _ in sdk.find(AWKWARD)] != ([then] if then else []):
            assert time.monotonic() < deadline, (act, sdk.find(AWKWARD))
            time.sleep(0.01)


def refused(act, code, status):
    try:
        act()
    except Refused as refusal:
        assert refusal.args == (code, status), refusal.args
    else:
        raise AssertionError(f"it was not refused with {code}")


def main():
    name, address = sys.argv[1:]
    kind = {"python-rpc": Rpc, "python-tea": Tea}[name]
    sdk = kind(address, LAB)
    life(sdk, name)
    refused(lambda: sdk.create("vsw-nowhere", None, "nowhere"), "InvalidVSwitchId.NotFound", 404)
    refused(lambda: kind(address, ("lab-ak", "other", None)).find("any"), "SignatureDoesNotMatch", 400)
    refused(lambda: kind(address, ("nobody", "nothing", None)).find("any"), "InvalidAccessKeyId.NotFound", 404)
    assumed = sdk.assume(ROLE)
    life(kind(address, assumed), name + "-sts")
    refused(lambda: kind(address, (*assumed[:2], None)).find("any"), "MissingSecurityToken", 400)


main()

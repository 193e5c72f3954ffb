// The older Go SDK: everything in the query string, signed with HMAC-SHA1.
package main

import (
	"errors"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/auth/credentials"
	sdkerrors "github.com/aliyun/alibaba-cloud-sdk-go/sdk/errors"
	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/sts"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

type rpcClient struct {
	ecs     *ecs.Client
	vpc     *vpc.Client
	sts     *sts.Client
	address string
}

func openRPC(address string, with keys) (client, error) {
	var credential auth.Credential = credentials.NewAccessKeyCredential(with.id, with.secret)
	if with.token != "" {
		credential = credentials.NewStsTokenCredential(with.id, with.secret, with.token)
	}
	config := func() *sdk.Config { return sdk.NewConfig().WithScheme("HTTP") }
	e, err := ecs.NewClientWithOptions(region, config(), credential)
	if err != nil {
		return nil, err
	}
	v, err := vpc.NewClientWithOptions(region, config(), credential)
	if err != nil {
		return nil, err
	}
	s, err := sts.NewClientWithOptions(region, config(), credential)
	if err != nil {
		return nil, err
	}
	return &rpcClient{e, v, s, address}, nil
}

// at sends a request to the simulator instead of the region's endpoint.
func (c *rpcClient) at(request *requests.RpcRequest) {
	request.Scheme, request.Domain = "HTTP", c.address
}

func rpcError(err error) error {
	var server *sdkerrors.ServerError
	if errors.As(err, &server) {
		return refusal{server.ErrorCode(), server.HttpStatus()}
	}
	return err
}

func (c *rpcClient) create(vSwitch, token, text string) (string, error) {
	request := ecs.CreateCreateNetworkInterfaceRequest()
	c.at(request.RpcRequest)
	request.VSwitchId, request.ClientToken, request.Description = vSwitch, token, text
	request.SecurityGroupIds = &[]string{group}
	request.Tag = &[]ecs.CreateNetworkInterfaceTag{{Key: "text", Value: text}, {Key: "creator", Value: "sdk-check"}}
	request.DeleteOnRelease = requests.NewBoolean(true)
	answer, err := c.ecs.CreateNetworkInterface(request)
	if err != nil {
		return "", rpcError(err)
	}
	return answer.NetworkInterfaceId, nil
}

func (c *rpcClient) find(tag string) ([]eni, error) {
	request := ecs.CreateDescribeNetworkInterfacesRequest()
	c.at(request.RpcRequest)
	request.MaxResults = requests.NewInteger(100)
	request.Tag = &[]ecs.DescribeNetworkInterfacesTag{{Key: "text", Value: tag}}
	answer, err := c.ecs.DescribeNetworkInterfaces(request)
	if err != nil {
		return nil, rpcError(err)
	}
	var found []eni
	for _, each := range answer.NetworkInterfaceSets.NetworkInterfaceSet {
		one := eni{each.NetworkInterfaceId, each.Status, each.Description, ""}
		for _, tag := range each.Tags.Tag {
			if tag.TagKey == "text" {
				one.tag = tag.TagValue
			}
		}
		found = append(found, one)
	}
	return found, nil
}

func (c *rpcClient) attach(id string) error {
	request := ecs.CreateAttachNetworkInterfaceRequest()
	c.at(request.RpcRequest)
	request.NetworkInterfaceId, request.InstanceId = id, instance
	_, err := c.ecs.AttachNetworkInterface(request)
	return rpcError(err)
}

func (c *rpcClient) detach(id string) error {
	request := ecs.CreateDetachNetworkInterfaceRequest()
	c.at(request.RpcRequest)
	request.NetworkInterfaceId, request.InstanceId = id, instance
	_, err := c.ecs.DetachNetworkInterface(request)
	return rpcError(err)
}

func (c *rpcClient) remove(id string) error {
	request := ecs.CreateDeleteNetworkInterfaceRequest()
	c.at(request.RpcRequest)
	request.NetworkInterfaceId = id
	_, err := c.ecs.DeleteNetworkInterface(request)
	return rpcError(err)
}

func (c *rpcClient) available(vSwitches string) (map[string]int, error) {
	request := vpc.CreateDescribeVSwitchesRequest()
	c.at(request.RpcRequest)
	request.VSwitchId = vSwitches
	answer, err := c.vpc.DescribeVSwitches(request)
	if err != nil {
		return nil, rpcError(err)
	}
	free := map[string]int{}
	for _, each := range answer.VSwitches.VSwitch {
		free[each.VSwitchId] = int(each.AvailableIpAddressCount)
	}
	return free, nil
}

func (c *rpcClient) assume(role string) (keys, error) {
	request := sts.CreateAssumeRoleRequest()
	c.at(request.RpcRequest)
	request.RoleArn, request.RoleSessionName = role, "sdk-check"
	request.DurationSeconds = requests.NewInteger(900)
	answer, err := c.sts.AssumeRole(request)
	if err != nil {
		return keys{}, rpcError(err)
	}
	return keys{answer.Credentials.AccessKeyId, answer.Credentials.AccessKeySecret, answer.Credentials.SecurityToken}, nil
}

// The newer Go SDK: its generic client, on which the clients of all services are built. It signs with
// ACS3-HMAC-SHA256, or in the RPC style when told to, and sends parameters as query or as form.
package main

import (
	"encoding/json"
	"errors"

	openapi "github.com/alibabacloud-go/darabonba-openapi/v2/client"
	"github.com/alibabacloud-go/darabonba-openapi/v2/models"
	"github.com/alibabacloud-go/darabonba-openapi/v2/utils"
	"github.com/alibabacloud-go/tea/dara"
	"github.com/alibabacloud-go/tea/tea"
)

const (
	ecsVersion = "2014-05-26"
	vpcVersion = "2016-04-28"
	stsVersion = "2015-04-01"
)

type teaClient struct {
	api  *openapi.Client
	form bool
}

func openTea(address string, with keys) (client, error) { return newTea(address, with, "", false) }

func openTeaForm(address string, with keys) (client, error) { return newTea(address, with, "", true) }

func openTeaRPC(address string, with keys) (client, error) { return newTea(address, with, "v2", false) }

func newTea(address string, with keys, algorithm string, form bool) (client, error) {
	config := &models.Config{
		AccessKeyId:     dara.String(with.id),
		AccessKeySecret: dara.String(with.secret),
		Endpoint:        dara.String(address),
		Protocol:        dara.String("HTTP"),
		RegionId:        dara.String(region),
	}
	if with.token != "" {
		config.SecurityToken = dara.String(with.token)
	}
	if algorithm != "" {
		config.SignatureAlgorithm = dara.String(algorithm)
	}
	api, err := openapi.NewClient(config)
	if err != nil {
		return nil, err
	}
	return &teaClient{api, form}, nil
}

// call sends an action and reads its answer into `answer`.
func (c *teaClient) call(action, version string, parameters map[string]interface{}, answer interface{}) error {
	return c.callAs("AK", action, version, parameters, answer)
}

func (c *teaClient) callAs(auth, action, version string, parameters map[string]interface{}, answer interface{}) error {
	request := &models.OpenApiRequest{Query: utils.Query(parameters)}
	kind := "json"
	if c.form {
		request = &models.OpenApiRequest{Body: utils.ParseToMap(parameters)}
		kind = "formData"
	}
	result, err := c.api.CallApi(&models.Params{
		Action:      dara.String(action),
		Version:     dara.String(version),
		Protocol:    dara.String("HTTP"),
		Pathname:    dara.String("/"),
		Method:      dara.String("POST"),
		AuthType:    dara.String(auth),
		Style:       dara.String("RPC"),
		ReqBodyType: dara.String(kind),
		BodyType:    dara.String("json"),
	}, request, &dara.RuntimeOptions{})
	if err != nil {
		return teaError(err)
	}
	text, err := json.Marshal(result["body"])
	if err != nil {
		return err
	}
	return json.Unmarshal(text, answer)
}

func teaError(err error) error {
	var told *tea.SDKError
	if errors.As(err, &told) {
		return refusal{tea.StringValue(told.Code), tea.IntValue(told.StatusCode)}
	}
	return err
}

func (c *teaClient) create(vSwitch, token, text string) (string, error) {
	parameters := map[string]interface{}{
		"RegionId":         region,
		"VSwitchId":        vSwitch,
		"Description":      text,
		"SecurityGroupIds": []string{group},
		"DeleteOnRelease":  true,
		"Tag": []map[string]interface{}{
			{"Key": "text", "Value": text},
			{"Key": "creator", "Value": "sdk-check"},
		},
	}
	if token != "" {
		parameters["ClientToken"] = token
	}
	var answer struct{ NetworkInterfaceId string }
	err := c.call("CreateNetworkInterface", ecsVersion, parameters, &answer)
	return answer.NetworkInterfaceId, err
}

func (c *teaClient) find(tag string) ([]eni, error) {
	var answer struct {
		NetworkInterfaceSets struct {
			NetworkInterfaceSet []struct {
				NetworkInterfaceId, Status, Description string
				Tags                                    struct {
					Tag []struct{ TagKey, TagValue string }
				}
			}
		}
	}
	err := c.call("DescribeNetworkInterfaces", ecsVersion, map[string]interface{}{
		"RegionId":   region,
		"MaxResults": 100,
		"Tag":        []map[string]interface{}{{"Key": "text", "Value": tag}},
	}, &answer)
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
	return found, err
}

func (c *teaClient) place(action, eni string) error {
	return c.call(action, ecsVersion, map[string]interface{}{
		"RegionId":           region,
		"NetworkInterfaceId": eni,
		"InstanceId":         instance,
	}, &struct{}{})
}

func (c *teaClient) attach(eni string) error { return c.place("AttachNetworkInterface", eni) }

func (c *teaClient) detach(eni string) error { return c.place("DetachNetworkInterface", eni) }

func (c *teaClient) remove(eni string) error {
	return c.call("DeleteNetworkInterface", ecsVersion, map[string]interface{}{
		"RegionId":           region,
		"NetworkInterfaceId": eni,
	}, &struct{}{})
}

func (c *teaClient) available(vSwitches string) (map[string]int, error) {
	var answer struct {
		VSwitches struct {
			VSwitch []struct {
				VSwitchId               string
				AvailableIpAddressCount int
			}
		}
	}
	err := c.call("DescribeVSwitches", vpcVersion, map[string]interface{}{
		"RegionId":  region,
		"VSwitchId": vSwitches,
	}, &answer)
	free := map[string]int{}
	for _, each := range answer.VSwitches.VSwitch {
		free[each.VSwitchId] = each.AvailableIpAddressCount
	}
	return free, err
}

func (c *teaClient) assume(role string) (keys, error) {
	var answer struct {
		Credentials struct{ AccessKeyId, AccessKeySecret, SecurityToken string }
	}
	err := c.call("AssumeRole", stsVersion, map[string]interface{}{
		"RoleArn":         role,
		"RoleSessionName": "sdk-check",
		"DurationSeconds": 900,
	}, &answer)
	made := answer.Credentials
	return keys{made.AccessKeyId, made.AccessKeySecret, made.SecurityToken}, err
}

func (c *teaClient) exchange(token string) (keys, error) {
	var answer struct {
		Credentials struct{ AccessKeyId, AccessKeySecret, SecurityToken string }
	}
	err := c.callAs("Anonymous", "AssumeRoleWithOIDC", stsVersion, map[string]interface{}{
		"RoleArn":         role,
		"OIDCProviderArn": provider,
		"OIDCToken":       token,
		"RoleSessionName": "sdk-check",
	}, &answer)
	made := answer.Credentials
	return keys{made.AccessKeyId, made.AccessKeySecret, made.SecurityToken}, err
}

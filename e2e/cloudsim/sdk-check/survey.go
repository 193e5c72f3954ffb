// The rest of the API by the typed client: its structs take an answer only where every field has the right
// name and type.
package main

import (
	"fmt"
	"slices"

	"github.com/aliyun/alibaba-cloud-sdk-go/sdk/requests"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/ecs"
	"github.com/aliyun/alibaba-cloud-sdk-go/services/vpc"
)

// survey tries what `life` does not.
func (c *rpcClient) survey() error {
	id, err := c.create(vSwitch, "", "survey")
	if err != nil {
		return err
	}
	for _, part := range []struct {
		name string
		try  func(eni string) error
	}{
		{"addresses", c.addresses},
		{"prefixes", c.prefixes},
		{"tags", c.tags},
		{"places", c.places},
		{"groups", c.groups},
		{"pages", c.pages},
	} {
		if err := part.try(id); err != nil {
			return fmt.Errorf("%s: %w", part.name, err)
		}
	}
	return c.remove(id)
}

// attribute is the ENI by itself.
func (c *rpcClient) attribute(eni string) (*ecs.DescribeNetworkInterfaceAttributeResponse, error) {
	request := ecs.CreateDescribeNetworkInterfaceAttributeRequest()
	c.at(request.RpcRequest)
	request.NetworkInterfaceId = eni
	answer, err := c.ecs.DescribeNetworkInterfaceAttribute(request)
	return answer, rpcError(err)
}

func (c *rpcClient) addresses(eni string) error {
	assign := ecs.CreateAssignPrivateIpAddressesRequest()
	c.at(assign.RpcRequest)
	assign.NetworkInterfaceId = eni
	assign.SecondaryPrivateIpAddressCount = requests.NewInteger(2)
	assigned, err := c.ecs.AssignPrivateIpAddresses(assign)
	if err != nil {
		return rpcError(err)
	}
	given := assigned.AssignedPrivateIpAddressesSet.PrivateIpSet.PrivateIpAddress
	shown, err := c.attribute(eni)
	if err != nil {
		return err
	}
	var held []string
	for _, each := range shown.PrivateIpSets.PrivateIpSet {
		if !each.Primary {
			held = append(held, each.PrivateIpAddress)
		}
	}
	slices.Sort(given)
	slices.Sort(held)
	if len(given) != 2 || !slices.Equal(given, held) {
		return fmt.Errorf("given %v, shown %v", given, held)
	}
	unassign := ecs.CreateUnassignPrivateIpAddressesRequest()
	c.at(unassign.RpcRequest)
	unassign.NetworkInterfaceId, unassign.PrivateIpAddress = eni, &given
	if _, err := c.ecs.UnassignPrivateIpAddresses(unassign); err != nil {
		return rpcError(err)
	}
	_, err = c.ecs.UnassignPrivateIpAddresses(unassign)
	return expect(rpcError(err), "InvalidIp.IpUnassigned", 403)
}

func (c *rpcClient) prefixes(eni string) error {
	reserve := vpc.CreateCreateVSwitchCidrReservationRequest()
	c.at(reserve.RpcRequest)
	reserve.VSwitchId, reserve.VSwitchCidrReservationMask = vSwitch, "27"
	reserved, err := c.vpc.CreateVSwitchCidrReservation(reserve)
	if err != nil {
		return rpcError(err)
	}
	list := vpc.CreateListVSwitchCidrReservationsRequest()
	c.at(list.RpcRequest)
	list.VSwitchId = vSwitch
	listed, err := c.vpc.ListVSwitchCidrReservations(list)
	if err != nil {
		return rpcError(err)
	}
	blocks := listed.VSwitchCidrReservations
	if len(blocks) != 1 || blocks[0].VSwitchCidrReservationId != reserved.VSwitchCidrReservationId || blocks[0].Status != "Assigned" {
		return fmt.Errorf("reserved %s, listed %+v", reserved.VSwitchCidrReservationId, blocks)
	}
	assign := ecs.CreateAssignPrivateIpAddressesRequest()
	c.at(assign.RpcRequest)
	assign.NetworkInterfaceId, assign.Ipv4PrefixCount = eni, requests.NewInteger(1)
	assigned, err := c.ecs.AssignPrivateIpAddresses(assign)
	if err != nil {
		return rpcError(err)
	}
	given := assigned.AssignedPrivateIpAddressesSet.Ipv4PrefixSet.Ipv4Prefixes
	if len(given) != 1 {
		return fmt.Errorf("given %v", given)
	}
	unassign := ecs.CreateUnassignPrivateIpAddressesRequest()
	c.at(unassign.RpcRequest)
	unassign.NetworkInterfaceId, unassign.Ipv4Prefix = eni, &given
	if _, err := c.ecs.UnassignPrivateIpAddresses(unassign); err != nil {
		return rpcError(err)
	}
	release := vpc.CreateDeleteVSwitchCidrReservationRequest()
	c.at(release.RpcRequest)
	release.VSwitchCidrReservationId = reserved.VSwitchCidrReservationId
	_, err = c.vpc.DeleteVSwitchCidrReservation(release)
	return rpcError(err)
}

func (c *rpcClient) tags(eni string) error {
	request := ecs.CreateTagResourcesRequest()
	c.at(request.RpcRequest)
	request.ResourceType, request.ResourceId = "eni", &[]string{eni}
	request.Tag = &[]ecs.TagResourcesTag{{Key: "late", Value: awkward}}
	if _, err := c.ecs.TagResources(request); err != nil {
		return rpcError(err)
	}
	list := ecs.CreateListTagResourcesRequest()
	c.at(list.RpcRequest)
	list.ResourceType = "eni"
	list.Tag = &[]ecs.ListTagResourcesTag{{Key: "late", Value: awkward}}
	listed, err := c.ecs.ListTagResources(list)
	if err != nil {
		return rpcError(err)
	}
	if found := listed.TagResources.TagResource; len(found) != 1 || found[0].ResourceId != eni || found[0].TagValue != awkward {
		return fmt.Errorf("listed %+v", found)
	}
	return nil
}

func (c *rpcClient) places(string) error {
	types := ecs.CreateDescribeInstanceTypesRequest()
	c.at(types.RpcRequest)
	types.InstanceTypes = &[]string{"ecs.g7.2xlarge"}
	known, err := c.ecs.DescribeInstanceTypes(types)
	if err != nil {
		return rpcError(err)
	}
	if found := known.InstanceTypes.InstanceType; len(found) != 1 || found[0].EniQuantity != 4 || found[0].EniTotalQuantity != 18 || !found[0].EniTrunkSupported {
		return fmt.Errorf("instance types %+v", found)
	}
	instances := ecs.CreateDescribeInstancesRequest()
	c.at(instances.RpcRequest)
	instances.InstanceIds = `["i-node1"]`
	running, err := c.ecs.DescribeInstances(instances)
	if err != nil {
		return rpcError(err)
	}
	if found := running.Instances.Instance; len(found) != 1 || found[0].VpcAttributes.VSwitchId != "vsw-node-h" || found[0].ZoneId != "cn-hangzhou-h" {
		return fmt.Errorf("instances %+v", found)
	}
	vpcs := vpc.CreateDescribeVpcsRequest()
	c.at(vpcs.RpcRequest)
	here, err := c.vpc.DescribeVpcs(vpcs)
	if err != nil {
		return rpcError(err)
	}
	if found := here.Vpcs.Vpc; len(found) != 1 || found[0].CidrBlock != "10.0.0.0/16" {
		return fmt.Errorf("VPCs %+v", found)
	}
	return nil
}

func (c *rpcClient) groups(string) error {
	request := ecs.CreateDescribeSecurityGroupsRequest()
	c.at(request.RpcRequest)
	request.SecurityGroupIds = `["sg-web"]`
	known, err := c.ecs.DescribeSecurityGroups(request)
	if err != nil {
		return rpcError(err)
	}
	if found := known.SecurityGroups.SecurityGroup; len(found) != 1 || found[0].VpcId != "vpc-lab" {
		return fmt.Errorf("groups %+v", found)
	}
	rules := ecs.CreateDescribeSecurityGroupAttributeRequest()
	c.at(rules.RpcRequest)
	rules.SecurityGroupId = group
	shown, err := c.ecs.DescribeSecurityGroupAttribute(rules)
	if err != nil {
		return rpcError(err)
	}
	if found := shown.Permissions.Permission; len(found) != 1 || found[0].PortRange != "8080/8080" || found[0].SourceCidrIp != "10.0.0.0/16" {
		return fmt.Errorf("rules %+v", found)
	}
	return nil
}

// pages goes through more ENIs than a page holds.
func (c *rpcClient) pages(string) error {
	var made []string
	for range 12 {
		id, err := c.create(vSwitch, "", "page")
		if err != nil {
			return err
		}
		made = append(made, id)
	}
	var seen []string
	request := ecs.CreateDescribeNetworkInterfacesRequest()
	c.at(request.RpcRequest)
	request.MaxResults = requests.NewInteger(10)
	request.Tag = &[]ecs.DescribeNetworkInterfacesTag{{Key: "text", Value: "page"}}
	for page := 1; ; page++ {
		answer, err := c.ecs.DescribeNetworkInterfaces(request)
		if err != nil {
			return rpcError(err)
		}
		for _, each := range answer.NetworkInterfaceSets.NetworkInterfaceSet {
			seen = append(seen, each.NetworkInterfaceId)
		}
		if answer.NextToken == "" {
			break
		}
		if page > 5 {
			return fmt.Errorf("the pages do not end")
		}
		request.NextToken = answer.NextToken
	}
	if !slices.Equal(made, seen) {
		return fmt.Errorf("made %v, seen %v", made, seen)
	}
	for _, id := range made {
		if err := c.remove(id); err != nil {
			return err
		}
	}
	return nil
}

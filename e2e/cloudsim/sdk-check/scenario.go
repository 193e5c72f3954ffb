// What every client is put through: the life of an ENI, credentials of a role, and refusals.
package main

import (
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// keys sign requests; token is for those of a role.
type keys struct{ id, secret, token string }

var lab = keys{id: "lab-ak", secret: "lab-sk"}

// Text that has to survive every encoding on its way.
const awkward = "a b+c/ü~*'()!&=%25 \"中\""

const (
	region   = "cn-hangzhou"
	vSwitch  = "vsw-pod-h"
	group    = "sg-web"
	instance = "i-node1"
	role     = "acs:ram::1234567890123456:role/lab-role"
	provider = "acs:ram::1234567890123456:oidc-provider/lab"
)

type eni struct {
	id, status, description, tag string
}

// refusal is an error answer as a client's own error type tells it.
type refusal struct {
	code   string
	status int
}

func (r refusal) Error() string { return fmt.Sprintf("%s (%d)", r.code, r.status) }

// client is one SDK, with the errors of the API told as refusals.
type client interface {
	create(vSwitch, token, text string) (string, error)
	find(tag string) ([]eni, error)
	attach(eni string) error
	detach(eni string) error
	remove(eni string) error
	available(vSwitches string) (map[string]int, error)
	assume(role string) (keys, error)
}

func check(name, address string, open func(string, keys) (client, error)) error {
	sdk, err := open(address, lab)
	if err != nil {
		return err
	}
	if err := life(sdk, name); err != nil {
		return err
	}
	if typed, ok := sdk.(interface{ survey() error }); ok {
		if err := typed.survey(); err != nil {
			return err
		}
	}
	if oidc, ok := sdk.(interface {
		exchange(token string) (keys, error)
	}); ok {
		if err := exchanged(oidc.exchange, name, address, open); err != nil {
			return fmt.Errorf("AssumeRoleWithOIDC: %w", err)
		}
	}
	if err := refusals(sdk, address, open); err != nil {
		return err
	}
	assumed, err := sdk.assume(role)
	if err != nil {
		return fmt.Errorf("AssumeRole: %w", err)
	}
	temporary, err := open(address, assumed)
	if err != nil {
		return err
	}
	if err := life(temporary, name+"-sts"); err != nil {
		return fmt.Errorf("with the credentials of a role: %w", err)
	}
	assumed.token = ""
	bare, err := open(address, assumed)
	if err != nil {
		return err
	}
	_, err = bare.find("any")
	return expect(err, "MissingSecurityToken", 400)
}

// exchanged gives a service account's token for the credentials of a role, and uses them.
func exchanged(exchange func(string) (keys, error), name, address string, open func(string, keys) (client, error)) error {
	given, err := exchange(serviceAccountToken("system:serviceaccount:kube-system:terway-controlplane"))
	if err != nil {
		return err
	}
	sdk, err := open(address, given)
	if err != nil {
		return err
	}
	if err := life(sdk, name+"-oidc"); err != nil {
		return err
	}
	_, err = exchange(serviceAccountToken("system:serviceaccount:default:default"))
	return expect(err, "AuthenticationFail.NoPermission", 403)
}

// serviceAccountToken is a token as a cluster gives it to a pod, for the audience of RRSA.
func serviceAccountToken(subject string) string {
	now := time.Now().Unix()
	part := func(claims map[string]any) string {
		text, _ := json.Marshal(claims)
		return base64.RawURLEncoding.EncodeToString(text)
	}
	return part(map[string]any{"alg": "RS256", "typ": "JWT"}) + "." + part(map[string]any{
		"iss": "https://kubernetes.default.svc",
		"aud": []string{"sts.aliyuncs.com"},
		"sub": subject,
		"iat": now,
		"exp": now + 3600,
	}) + ".c2lnbmF0dXJl"
}

// life takes an ENI from its creation to its end.
func life(sdk client, name string) error {
	free, err := sdk.available("vsw-pod-h,vsw-db-h")
	if err != nil {
		return fmt.Errorf("DescribeVSwitches: %w", err)
	}
	if len(free) != 2 || free[vSwitch] == 0 {
		return fmt.Errorf("DescribeVSwitches: got %v", free)
	}
	id, err := sdk.create(vSwitch, "token-"+name, awkward)
	if err != nil {
		return fmt.Errorf("CreateNetworkInterface: %w", err)
	}
	again, err := sdk.create(vSwitch, "token-"+name, awkward)
	if err != nil || again != id {
		return fmt.Errorf("CreateNetworkInterface with the same token: got %q for %q: %w", again, id, err)
	}
	found, err := sdk.find(awkward)
	if err != nil {
		return fmt.Errorf("DescribeNetworkInterfaces: %w", err)
	}
	if want := (eni{id, "Available", awkward, awkward}); len(found) != 1 || found[0] != want {
		return fmt.Errorf("DescribeNetworkInterfaces: got %+v, want %+v", found, want)
	}
	for _, step := range []struct {
		name string
		act  func(string) error
		then string
	}{
		{"AttachNetworkInterface", sdk.attach, "InUse"},
		{"DetachNetworkInterface", sdk.detach, "Available"},
		{"DeleteNetworkInterface", sdk.remove, ""},
	} {
		if err := step.act(id); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		if err := await(sdk, step.then); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
	}
	return nil
}

// await waits until the ENI has a status, or is gone when that is empty.
func await(sdk client, status string) error {
	deadline := time.Now().Add(10 * time.Second)
	for {
		found, err := sdk.find(awkward)
		if err != nil {
			return err
		}
		if status == "" && len(found) == 0 || len(found) == 1 && found[0].status == status {
			return nil
		}
		if time.Now().After(deadline) {
			return fmt.Errorf("it is %+v and not %q", found, status)
		}
		time.Sleep(10 * time.Millisecond)
	}
}

func refusals(sdk client, address string, open func(string, keys) (client, error)) error {
	_, err := sdk.create("vsw-nowhere", "", "nowhere")
	if err := expect(err, "InvalidVSwitchId.NotFound", 404); err != nil {
		return err
	}
	forger, err := open(address, keys{id: lab.id, secret: "other"})
	if err != nil {
		return err
	}
	_, err = forger.find("any")
	if err := expect(err, "SignatureDoesNotMatch", 400); err != nil {
		return err
	}
	stranger, err := open(address, keys{id: "nobody", secret: "nothing"})
	if err != nil {
		return err
	}
	_, err = stranger.find("any")
	return expect(err, "InvalidAccessKeyId.NotFound", 404)
}

func expect(err error, code string, status int) error {
	var refused refusal
	if !errors.As(err, &refused) || refused.code != code || refused.status != status {
		return fmt.Errorf("got %v, want %s (%d)", err, code, status)
	}
	return nil
}

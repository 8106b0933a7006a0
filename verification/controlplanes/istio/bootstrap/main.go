// Writes the bootstrap with which Istio's agent starts Envoy, from the template in Istio's module.
//
//	bootstrap TEMPLATE NODE-ID ADMIN-PORT EXTRA-STAT-TAGS
//
// What else the agent takes from its pod comes from the same environment: ISTIO_METAJSON_LABELS,
// ISTIO_META_CLUSTER_ID, POD_NAMESPACE.
package main

import (
	"fmt"
	"os"
	"strconv"
	"strings"

	"istio.io/istio/pkg/bootstrap"
	"istio.io/istio/pkg/config/mesh"
)

func main() {
	if len(os.Args) != 5 {
		fmt.Fprintln(os.Stderr, "usage: bootstrap TEMPLATE NODE-ID ADMIN-PORT EXTRA-STAT-TAGS")
		os.Exit(2)
	}
	if err := run(os.Args[1], os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "bootstrap:", err)
		os.Exit(1)
	}
}

func run(template, id, adminPort, tags string) error {
	port, err := strconv.ParseUint(adminPort, 10, 16)
	if err != nil {
		return err
	}
	config := mesh.DefaultProxyConfig()
	config.ConfigPath = "."
	config.ProxyAdminPort = int32(port)
	config.ExtraStatTags = strings.Split(tags, ",")
	node, err := bootstrap.GetNodeMetaData(bootstrap.MetadataOptions{
		ID:          id,
		Envs:        os.Environ(),
		ProxyConfig: config,
		InstanceIPs: []string{strings.Split(id, "~")[1]},
	})
	if err != nil {
		return err
	}
	return bootstrap.New(bootstrap.Config{Node: node}).WriteTo(template, os.Stdout)
}

// The real istiod without Kubernetes, for tests: it serves xDS on loopback from a folder of YAML.
//
//	istiod FORM FOLDER MESH-FILE ADDRESS
//
// FORM is how istiod comes by the folder's objects:
//
//   - files: by its own store of files, which checks them and knows Istio's kinds alone;
//   - objects: as objects of a Kubernetes client that keeps them in memory, so that the Gateway
//     API, Services and Pods work too.
//
// What changes in the folder is followed. It ends with SIGTERM. Whoever connects is taken for a pod of
// the gateway gw in the namespace default, so that it gets certificates, as one that shows a token.
package main

import (
	"fmt"
	"os"
	"os/signal"
	"reflect"
	"syscall"
	"time"
	"unsafe"

	authorization "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/runtime"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"

	"istio.io/istio/pilot/pkg/bootstrap"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/security"
)

// known takes everybody for the same pod: istiod gives certificates only to whom it knows.
type known struct{}

func (known) AuthenticatorType() string { return "known" }

func (known) Authenticate(security.AuthContext) (*security.Caller, error) {
	return &security.Caller{Identities: []string{"spiffe://cluster.local/ns/default/sa/gw-istio"}}, nil
}

// allow lets that pod read its namespace's certificates, as the Role of a gateway does.
func allow(client kube.CLIClient) {
	kind := "subjectaccessreviews"
	fake := client.Kube().(*kubefake.Clientset)
	fake.PrependReactor("create", kind, func(clienttesting.Action) (bool, runtime.Object, error) {
		status := authorization.SubjectAccessReviewStatus{Allowed: true}
		return true, &authorization.SubjectAccessReview{Status: status}, nil
	})
}

func main() {
	if len(os.Args) != 5 || (os.Args[1] != "files" && os.Args[1] != "objects") {
		fmt.Fprintln(os.Stderr, "usage: istiod files|objects FOLDER MESH-FILE ADDRESS")
		os.Exit(2)
	}
	if err := run(os.Args[1] == "objects", os.Args[2], os.Args[3], os.Args[4]); err != nil {
		fmt.Fprintln(os.Stderr, "istiod:", err)
		os.Exit(1)
	}
}

func run(asObjects bool, folder, mesh, address string) error {
	began := time.Now()
	client := kube.NewFakeClient()
	var objects *store
	if asObjects {
		var err error
		if objects, err = newStore(folder); err != nil {
			return err
		}
		client = objects.client
	}
	allow(client)
	args := bootstrap.NewPilotArgs(func(p *bootstrap.PilotArgs) {
		p.Namespace = "istio-system"
		p.PodName = "istiod"
		p.MeshConfigFile = mesh
		p.ShutdownDuration = time.Second
		// Neither TLS nor webhooks: nothing is listened to but on loopback.
		p.ServerOptions = bootstrap.DiscoveryServerOptions{
			HTTPAddr: "127.0.0.1:0", MonitoringAddr: "127.0.0.1:0", GRPCAddr: address,
		}
		p.RegistryOptions.KubeOptions.DomainSuffix = "cluster.local"
		if asObjects {
			p.RegistryOptions.Registries = []string{"Kubernetes"}
		} else {
			p.RegistryOptions.FileDir = folder
		}
	})
	server, err := bootstrap.NewServer(args, func(server *bootstrap.Server) {
		// As istiod's own tests do, which can reach the field: since 1.30 it doesn't start
		// without a client.
		field := reflect.ValueOf(server).Elem().FieldByName("kubeClient")
		field = reflect.NewAt(field.Type(), unsafe.Pointer(field.UnsafeAddr())).Elem()
		field.Set(reflect.ValueOf(client))
	})
	if err != nil {
		return err
	}
	server.XDSServer.Authenticators = []security.Authenticator{known{}}
	stop := make(chan struct{})
	if err := server.Start(stop); err != nil {
		return err
	}
	fmt.Printf("serving after %v\n", time.Since(began))
	signals := make(chan os.Signal, 1)
	signal.Notify(signals, syscall.SIGINT, syscall.SIGTERM)
	tick := time.NewTicker(200 * time.Millisecond)
	for {
		select {
		case <-signals:
			close(stop)
			server.WaitUntilCompletion()
			return nil
		case <-tick.C:
			if objects != nil {
				objects.reload()
			}
		}
	}
}

package main

import (
	"bytes"
	"fmt"
	"os"
	"path/filepath"
	"sort"
	"strings"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/runtime/schema"
	kubefake "k8s.io/client-go/kubernetes/fake"
	clienttesting "k8s.io/client-go/testing"
	gatewayapifake "sigs.k8s.io/gateway-api/pkg/client/clientset/versioned/fake"

	istiofake "istio.io/client-go/pkg/clientset/versioned/fake"
	"istio.io/istio/pkg/config"
	"istio.io/istio/pkg/config/schema/collections"
	"istio.io/istio/pkg/config/schema/gvk"
	"istio.io/istio/pkg/kube"
	"istio.io/istio/pkg/kube/kclient/clienttest"
	"istio.io/istio/pkg/test"
)

// store keeps the objects of a folder in a Kubernetes client that is not connected to anything.
type store struct {
	folder string
	client kube.CLIClient
	text   []byte
}

func newStore(folder string) (*store, error) {
	objects, text, err := load(folder)
	if err != nil {
		return nil, err
	}
	client := kube.NewFakeClient(objects...)
	err = test.Wrap(func(t test.Failer) {
		for _, kind := range collections.PilotGatewayAPI().All() {
			clienttest.MakeCRD(t, client, kind.GroupVersionResource())
		}
	})
	return &store{folder: folder, client: client, text: text}, err
}

// reload puts what has changed in the folder into the client. What is no YAML is left as it was.
func (s *store) reload() {
	objects, text, err := load(s.folder)
	if err != nil || bytes.Equal(text, s.text) {
		return
	}
	s.text = text
	for _, object := range objects {
		name := object.(metav1.ObjectMetaAccessor).GetObjectMeta()
		kind := resource(object)
		tracker := s.tracker(kind.Group)
		if err := tracker.Update(kind, object, name.GetNamespace()); err != nil {
			err = tracker.Create(kind, object, name.GetNamespace())
			fmt.Println("created", kind.Resource, name.GetNamespace(), name.GetName(), err)
		}
	}
	fmt.Println("reloaded", len(objects), "objects")
}

func (s *store) tracker(group string) clienttesting.ObjectTracker {
	switch {
	case group == "gateway.networking.k8s.io":
		return s.client.GatewayAPI().(*gatewayapifake.Clientset).Tracker()
	case strings.HasSuffix(group, "istio.io"):
		return s.client.Istio().(*istiofake.Clientset).Tracker()
	default:
		return s.client.Kube().(*kubefake.Clientset).Tracker()
	}
}

// load returns the objects of all files, and the files' text.
func load(folder string) ([]runtime.Object, []byte, error) {
	names, err := filepath.Glob(filepath.Join(folder, "*.yaml"))
	if err != nil {
		return nil, nil, err
	}
	sort.Strings(names)
	var objects []runtime.Object
	var all []byte
	for _, name := range names {
		text, err := os.ReadFile(name)
		if err != nil {
			return nil, nil, err
		}
		all = append(all, text...)
		for _, document := range bytes.Split(append([]byte("\n"), text...), []byte("\n---")) {
			if len(bytes.TrimSpace(document)) == 0 {
				continue
			}
			object, _, err := kube.IstioCodec.UniversalDeserializer().Decode(document, nil, nil)
			if err != nil {
				return nil, nil, fmt.Errorf("%s: %w", name, err)
			}
			objects = append(objects, object)
		}
	}
	return objects, all, nil
}

func resource(object runtime.Object) schema.GroupVersionResource {
	kind := object.GetObjectKind().GroupVersionKind()
	if known, ok := gvk.ToGVR(config.FromKubernetesGVK(kind)); ok {
		if known.Group == "core" {
			known.Group = ""
		}
		return known
	}
	guessed, _ := meta.UnsafeGuessKindToResource(kind)
	return guessed
}

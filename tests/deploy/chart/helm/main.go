// Renders and lints a chart by helm's own packages: each line on stdin asks once, and each line on
// stdout is the answer. The whole of helm takes minutes to build, and needs a process for each rendering.
package main

import (
	"bufio"
	"encoding/json"
	"io"
	"log"
	"os"

	"helm.sh/helm/v3/pkg/chart/loader"
	"helm.sh/helm/v3/pkg/chartutil"
	"helm.sh/helm/v3/pkg/engine"
	"helm.sh/helm/v3/pkg/lint"
)

type question struct {
	Name      string         `json:"name"`
	Namespace string         `json:"namespace"`
	Values    map[string]any `json:"values"`
	Lint      bool           `json:"lint"`
}

// Either the manifests by their templates, or why there are none; and what the linter says.
type answer struct {
	Manifests map[string]string `json:"manifests"`
	Error     string            `json:"error"`
	Messages  []string          `json:"messages"`
}

func main() {
	// It tells of each symbolic link.
	log.SetOutput(io.Discard)
	folder := os.Args[1]
	lines := bufio.NewReader(os.Stdin)
	out := json.NewEncoder(os.Stdout)
	for {
		line, err := lines.ReadBytes('\n')
		if err == io.EOF {
			return
		}
		if err != nil {
			panic(err)
		}
		var asked question
		if err := json.Unmarshal(line, &asked); err != nil {
			panic(err)
		}
		if err := out.Encode(reply(folder, asked)); err != nil {
			panic(err)
		}
	}
}

func reply(folder string, asked question) answer {
	result := answer{Messages: []string{}}
	if asked.Lint {
		for _, message := range lint.All(folder, asked.Values, asked.Namespace, true).Messages {
			result.Messages = append(result.Messages, message.Error())
		}
	}
	chart, err := loader.Load(folder)
	if err != nil {
		panic(err)
	}
	options := chartutil.ReleaseOptions{Name: asked.Name, Namespace: asked.Namespace, Revision: 1, IsInstall: true}
	values, err := chartutil.ToRenderValues(chart, asked.Values, options, nil)
	if err == nil {
		result.Manifests, err = engine.Render(chart, values)
	}
	if err != nil {
		result.Error = err.Error()
	}
	return result
}

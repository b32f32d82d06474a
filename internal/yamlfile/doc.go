// Package yamlfile reads the YAML files that people write for kvmlab: lab files and the checks of scenarios. Every
// value keeps its line and column, all mistakes are found in one reading, and one table of keys gives the reader, the
// "did you mean" and the JSON Schema.
package yamlfile

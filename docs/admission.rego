# Lets an image in that the readiness gate found READY. The caller verifies the signatures first:
# `input.statements` are the in-toto statements whose signature is that of your pipeline.
#
#   { "image": "registry/app@sha256:...", "statements": [ ... ] }
package readiness.admission

import rego.v1

default allow := false

allow if count(deny) == 0

deny contains "no statement of the readiness gate is about this image" if count(own) == 0

deny contains message if {
	some statement in newest
	statement.predicate.result != "PASSED"
	failed := concat(", ", statement.predicate.failedTests)
	message := concat("", ["the gate said ", statement.predicate.result, ": ", failed])
}

deny contains "the gate ran only some of its checks" if {
	some statement in newest
	statement.predicate.configuration[0].annotations.partial != false
}

deny contains "the gate ran with --report-only, which decides nothing" if {
	some statement in newest
	statement.predicate.configuration[0].annotations.reportOnly != false
}

# A later run replaces an earlier one, whatever either said.
newest contains statement if {
	some statement in own
	finished(statement) == max({finished(other) | some other in own})
}

own contains statement if {
	some statement in input.statements
	statement._type == "https://in-toto.io/Statement/v1"
	statement.predicateType == "https://in-toto.io/attestation/test-result/v0.1"
	statement.predicate.configuration[0].name == "readiness"
	some subject in statement.subject
	some algorithm, value in subject.digest
	endswith(input.image, concat("", ["@", algorithm, ":", value]))
}

finished(statement) := statement.predicate.configuration[0].annotations.finished

package mesh

// Status is what translation found out about one object, whether it has effect
// or not. Every object of the API groups that the mesh owns gets one.
type Status struct {
	Ref        Ref
	UID        string
	Generation int64 // metadata.generation that was judged
	// Accepted is false if the object, or a part of it that cannot be left out
	// safely, could not be translated. Reason is a CamelCase word, Message one
	// sentence that names the field.
	Accepted        bool
	Reason, Message string
	// NoEffectYet is true for a kind that this version keeps but does not use.
	NoEffectYet bool
	// Warnings name what is accepted and has no effect, or is dangerous.
	Warnings []string
}

package did

// checkServices takes what DID Core 5.4 says about services.
func (c *checker) checkServices(root object) error {
	value, present := root["service"]
	if !present {
		return nil
	}
	return eachOnce("service", value, c.checkService)
}

func (c *checker) checkService(path string, item any) error {
	o, ok := item.(object)
	if !ok {
		return fault(path, "it must be an object with id, type and serviceEndpoint")
	}
	id, err := requireText(path, o, "id")
	if err != nil {
		return err
	}
	at := member(path, "id")
	if err := checkURI(at, absolute(c.of, id)); err != nil {
		return err
	}
	if err := c.define(at, id); err != nil {
		return err
	}
	if err := checkServiceType(member(path, "type"), o["type"]); err != nil {
		return err
	}
	return checkEndpoint(member(path, "serviceEndpoint"), o["serviceEndpoint"])
}

// checkServiceType takes one type or a set of them.
func checkServiceType(path string, value any) error {
	items, ok := value.([]any)
	if !ok {
		return checkWord(path, value)
	}
	if len(items) == 0 {
		return fault(path, "it must have at least one type")
	}
	return eachOnce(path, value, checkWord)
}

func checkWord(path string, value any) error {
	if text, ok := value.(string); !ok || text == "" {
		return fault(path, "it must be there, and be text that is not empty")
	}
	return nil
}

// checkEndpoint takes a URI, a map, or a set of both.
func checkEndpoint(path string, value any) error {
	items, ok := value.([]any)
	if !ok {
		return checkOneEndpoint(path, value)
	}
	if len(items) == 0 {
		return fault(path, "it must have at least one endpoint")
	}
	return eachOnce(path, value, checkOneEndpoint)
}

func checkOneEndpoint(path string, value any) error {
	if _, ok := value.(object); ok {
		return nil
	}
	if text, ok := value.(string); !ok || !isURI(text) {
		return fault(path, "it must be a URI with its scheme, or an object")
	}
	return nil
}

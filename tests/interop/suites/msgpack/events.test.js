"use strict";

require("../../support/client-suite").events(require("../../support/dialects")("msgpack"));

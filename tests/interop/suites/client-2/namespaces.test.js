"use strict";

require("../../support/client-suite").namespaces(require("../../support/dialects")("v2"));

"use strict";

require("../../support/client-suite").upgrade(require("../../support/dialects")("v3"));

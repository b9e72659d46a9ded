"use strict";

require("../../support/client-suite").lifecycle(require("../../support/dialects")("v3"));
